"""Moves jobs on and takes up what anybody may do: faults to prove, slashes to settle.

Losing the race to another keeper is normal: what reverts has been done, or will be due later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from sqlalchemy import RowMapping

from commonweal.adapters.chain import ContractReverted
from commonweal.adapters.sender_pool import SenderPool
from commonweal.protocol.batches import ContractCall
from commonweal.protocol.keeping import Transition, due_transition, transition_call
from commonweal.protocol.types import SCORE_INVALID, JobState
from commonweal.worktime import timed
from service.repository import Repository
from service.views import JobView

log = structlog.get_logger(__name__)
_SEAL_FROM, _PAGE = 16, 128  # members; below, a sealed roster costs more than it saves
_GAS = {
    Transition.ADVANCE: 2_000_000,
    Transition.DRAW: 2_000_000,
    Transition.TALLY: 16_000_000,
    Transition.FINALISE: 12_000_000,
}


@dataclass(frozen=True, slots=True)
class Duty:
    """A call that is due; `intent` says which one it is, so that it is done once."""

    intent: str
    call: ContractCall
    gas: int | None = None


def due_step(
    view: JobView, *, now: int, head: int, fetch_header: Callable[[int], bytes]
) -> Duty | None:
    """The transition of a job that is due after block `head`."""
    round_, job = view.round, view.job.job
    due = due_transition(round_, view.job, now=now, block_number=head, record=view.record)
    if due is None:
        return None
    drawn = "drawn" if round_.committee else round_.seed_block
    intent = f"{due}:{job}:{round_.round}:{int(round_.phase)}:{drawn}"
    header = fetch_header(round_.seed_block) if due is Transition.DRAW else b""
    return Duty(intent, transition_call(due, job, view.record, header), _GAS[due])


def due_seals(view: JobView) -> list[Duty]:
    """Once, when a big job has started: its operators kept as code make every batch cheaper."""
    members = len(view.members)
    if view.job.state is not JobState.RUNNING or view.round.round != 1 or members < _SEAL_FROM:
        return []
    return [
        Duty(
            f"seal:{view.job.job}:{page}",
            ContractCall("JobBoard", "sealRoster", (view.job.job, page)),
        )
        for page in range(-(-members // _PAGE))
    ]


def due_duties(repository: Repository, *, now: int) -> Iterator[Duty]:
    """Faults that the chain's own records prove, slashes whose appeal window is over, and rows of
    missed duties that good work has ended.
    """
    for slash in repository.fetch_due_slashes(now):
        call = ContractCall("ProviderRegistry", "settleSlash", (slash,))
        yield Duty(f"settle:{slash}", call)
    proven = {(f["job"], f["round"], f["member"], f["fault"]) for f in repository.fetch_faults()}
    for row in repository.fetch_faulty_rounds():
        yield from _missing_people(row, proven)
    for update in repository.fetch_condemned():
        yield from _condemned_update(repository, update, proven)
    for row in repository.fetch_ended_misses():
        yield _ended_row(repository, row)


_Proven = set[tuple[int, int, int, str]]


def _missing_people(row: RowMapping, proven: _Proven) -> Iterator[Duty]:
    slot = (row["job"], row["round"])
    for member in row["unrevealed"]:
        if (*slot, member, "unrevealed") not in proven:
            call = ContractCall("Faults", "proveUnrevealed", (*slot, member))
            yield Duty(f"unrevealed:{slot[0]}:{slot[1]}:{member}", call)
    for seat in row["absent"]:
        if (*slot, row["committee"][seat], "absent") not in proven:
            call = ContractCall("Faults", "proveAbsent", (*slot, seat))
            yield Duty(f"absent:{slot[0]}:{slot[1]}:{seat}", call)


def _condemned_update(repository: Repository, row: RowMapping, proven: _Proven) -> Iterator[Duty]:
    job, round_, member = row["job"], row["round"], row["member"]
    invalid = row["score"] == SCORE_INVALID
    fault = "invalid-update" if invalid else "unavailable-update"
    if (job, round_, member, fault) in proven:
        return
    proof = repository.prove_verdicts(job, round_)[member]
    function = "proveInvalid" if invalid else "proveUnavailable"
    args = (job, round_, member, bytes(row["digest"]), proof)
    yield Duty(f"{fault}:{job}:{round_}:{member}", ContractCall("Faults", function, args))


def _ended_row(repository: Repository, row: RowMapping) -> Duty:
    """Nobody else says so to the chain: misses far apart would count as missed in a row."""
    job, round_, member = row["job"], row["round"], row["member"]
    updates = {each["member"]: each for each in repository.fetch_updates(job, round_)}
    its, proof = updates[member], repository.prove_verdicts(job, round_)[member]
    args = (job, round_, member, bytes(its["digest"]), its["score"], proof)
    return Duty(f"done:{job}:{round_}:{member}", ContractCall("Faults", "proveDutyDone", args))


class Keeper:
    def __init__(self, sender: SenderPool) -> None:
        self._sender = sender
        self.rewinds = 0

    def perform(self, duty: Duty) -> bool:
        """Whether it was done by us."""
        call, key = duty.call, f"{duty.intent}:{self.rewinds}"
        try:
            with timed(log, "chain", intent=duty.intent):
                receipt = self._sender.send(
                    key, call.contract, call.function, *call.args, gas=duty.gas
                )
        except ContractReverted as error:
            log.debug("duty not due any more", intent=duty.intent, error=error.name)
            return False
        block = receipt.block_number
        log.info("duty done", intent=duty.intent, function=call.function, block=block)
        return True
