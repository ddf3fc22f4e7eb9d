"""A job's events in plain words: one line for each that matters to somebody who waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from commonweal.cli.output import format_tokens
from commonweal.errors import CommonwealError
from commonweal.protocol.bitmaps import unpack_bitmap
from commonweal.protocol.cids import Cid
from commonweal.protocol.commitments import (
    unpack_entries,
    unpack_members,
    unpack_scores,
    unpack_seats,
)
from commonweal.protocol.rewards import unpack_payments
from commonweal.protocol.types import Role, Verdict

Data = Mapping[str, Any]
UNREADABLE = (CommonwealError, ArithmeticError, LookupError, TypeError, ValueError)

FAILURES = {
    "too-few-commitments": "too few trainers committed an update",
    "too-few-reveals": "too few trainers revealed their update",
    "committee-too-small": "too few validators for a committee",
    "too-few-ballots": "too few of the committee revealed their ballot",
    "nothing-verified": "the committee verified no update",
    "no-model-agreed": "the committee did not agree on a model",
    "not-drawn": "nobody drew a committee for a week",
    "stopped": "an earlier model was found wrong on appeal",
}
STATES = {
    "running": "the job runs",
    "cancelling": "the requester cancelled the job: it ends after this round",
    "completed": "job completed",
    "cancelled": "job cancelled",
    "exhausted": "job ended: too many rounds failed",
}


@dataclass(slots=True)
class Narrator:
    """Fed with all events of one job, from the first on; `describe` gives a line or nothing."""

    quantum: int = 0
    seats: int = 0
    committed: set[int] = field(default_factory=set)  # members, of the present round
    revealed: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)  # seats

    def describe(self, event: Mapping[str, Any]) -> str | None:
        tell = _TELLERS.get(event.get("event", ""))
        if tell is None:
            return None
        data = event["data"]
        try:
            text = tell(self, data)
            return f"{format_time(data['timestamp'])}  {text}" if text else None
        except UNREADABLE as error:
            return f"event {event['event']} cannot be read: {error!r}"

    def _created(self, data: Data) -> str:
        terms = data["parameters"]
        self.quantum = int(data["quantum"])
        price, escrow = format_tokens(terms["price_per_round"]), format_tokens(data["escrow"])
        least, most = terms["min_trainers"], terms["max_trainers"]
        wanted = f"{most}" if least == most else f"{least} to {most}"
        return (
            f"job offered: {terms['rounds']} rounds at {price} tokens, {escrow} in escrow; "
            f"recruiting {wanted} trainers until {format_time(terms['recruit_until'])}"
        )

    def _joined(self, data: Data) -> str:
        roles = " and ".join(str(role.name).lower() for role in Role if data["roles"] & role)
        stake = format_tokens(data["stake"])
        return f"member {data['member']} joined as {roles}, {stake} tokens at stake"

    def _left(self, data: Data) -> str:
        return f"member {data['member']} left"

    def _state(self, data: Data) -> str | None:
        return STATES.get(data["state"])

    def _opened(self, data: Data) -> str:
        self.committed, self.revealed, self.opened = set(), set(), set()
        return self._round(data, f"opened; commitments until {format_time(data['ends_at'])}")

    def _committed(self, data: Data) -> str:
        self.committed |= {member for member, _ in unpack_entries(_bytes(data["entries"]))}
        return self._round(data, f"commitments in: {len(self.committed)}")

    def _revealed(self, data: Data) -> str:
        members = unpack_members(_bytes(data["members"]))
        bits = unpack_bitmap([int(data["opened"])])
        self.revealed |= {member for at, member in enumerate(members) if at in bits}
        return self._round(data, f"updates revealed: {len(self.revealed)}")

    def _drawn(self, data: Data) -> str:
        self.seats = len(data["members"])
        return self._round(data, f"committee drawn: members {_join(data['members'])}")

    def _ballots(self, data: Data) -> str:
        self.opened |= set(unpack_seats(_bytes(data["seats"])))
        return self._round(data, f"ballots opened: {len(self.opened)} of {self.seats}")

    def _tallied(self, data: Data) -> str:
        scores = unpack_scores(_bytes(data["scores"]))
        verdicts = zip(sorted(self.revealed), scores, strict=True)
        shown = (f"member {member} {_show_verdict(score)}" for member, score in verdicts)
        return self._round(data, f"verdicts: {_join(shown)}")

    def _finalised(self, data: Data) -> str:
        cid = Cid("dag-cbor", _bytes(data["model_digest"]))
        return self._round(data, f"model agreed: {cid}")

    def _settled(self, data: Data) -> str:
        payments = unpack_payments(_bytes(data["payments"]))
        shown = [f"{format_tokens(u * self.quantum)} to member {m}" for m, u in payments]
        if fee := int(data["fee"]):
            shown.append(f"fee {format_tokens(fee)} to {data['fee_recipient']}")
        paid = format_tokens(data["spent"])
        return self._round(data, f"paid out {paid} tokens: {_join(shown)}")

    def _failed(self, data: Data) -> str:
        return self._round(data, f"failed: {FAILURES.get(data['reason'], data['reason'])}")

    def _absent(self, data: Data) -> str:
        seats = sorted(unpack_bitmap([int(data["seats"])]))
        return self._round(data, f"missed their duty: seats {_join(seats)}")

    def _unrevealed(self, data: Data) -> str:
        members = sorted(unpack_bitmap([int(word) for word in data["bitmap"]]))
        return self._round(data, f"committed and never revealed: members {_join(members)}")

    def _fault(self, data: Data) -> str:
        fault = data["fault"].replace("-", " ")
        return self._round(data, f"fault of member {data['member']} proven: {fault}")

    def _claimed(self, data: Data) -> str:
        return f"{data['provider']} claimed {format_tokens(data['amount'])} tokens"

    def _refunded(self, data: Data) -> str:
        return f"{format_tokens(data['amount'])} tokens of escrow went back to the requester"

    def _round(self, data: Data, text: str) -> str:
        return f"round {data['round']}: {text}"


_TELLERS: dict[str, Callable[[Narrator, Data], str | None]] = {
    "JobCreated": Narrator._created,
    "MemberJoined": Narrator._joined,
    "MemberLeft": Narrator._left,
    "JobStateChanged": Narrator._state,
    "RoundOpened": Narrator._opened,
    "UpdatesCommitted": Narrator._committed,
    "UpdatesRevealed": Narrator._revealed,
    "CommitteeDrawn": Narrator._drawn,
    "BallotsRevealed": Narrator._ballots,
    "RoundTallied": Narrator._tallied,
    "RoundFinalised": Narrator._finalised,
    "RoundSettled": Narrator._settled,
    "RoundFailed": Narrator._failed,
    "AbsenceRecorded": Narrator._absent,
    "UnrevealedRecorded": Narrator._unrevealed,
    "FaultProven": Narrator._fault,
    "RewardClaimed": Narrator._claimed,
    "EscrowRefunded": Narrator._refunded,
}


def format_time(seconds: int) -> str:
    """Of the local clock."""
    return f"{_local(seconds):%H:%M:%S}"


def format_date(seconds: int) -> str:
    return f"{_local(seconds):%Y-%m-%d %H:%M:%S}"


def _local(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


def _show_verdict(score: int) -> str:
    verdict = Verdict.of(score)
    name = verdict.name.lower()
    return f"{name} {score}" if verdict is Verdict.VERIFIED else name


def _join(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
