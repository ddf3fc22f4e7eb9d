"""What `weal job watch`, `show` and `list` say, in words and in tokens."""

from __future__ import annotations

from typing import Any

import pytest

from commonweal.answers import Job
from commonweal.cli.jobs import describe_job
from commonweal.cli.narration import FAILURES, Narrator
from commonweal.cli.output import format_tokens, print_table
from commonweal.protocol.cids import Cid
from commonweal.protocol.commitments import pack_entries, pack_members, pack_scores, pack_seats
from commonweal.protocol.rewards import pack_payments
from commonweal.protocol.types import SCORE_INVALID, FailureReason

TOKEN = 10**18
DIGEST = b"\x07" * 32
PARAMETERS = {
    "rounds": 10,
    "price_per_round": str(100 * TOKEN),
    "min_trainers": 3,
    "max_trainers": 7,
    "recruit_until": 0,
    "committee_size": 5,
    "min_stake": str(50 * TOKEN),
    "max_failed_rounds": 3,
    "validator_share_bps": 2000,
    "coordinator_share_bps": 250,
    "allowlist_root": "0x" + "00" * 32,
    "commit_window": 60,
    "reveal_window": 30,
    "ballot_commit_window": 60,
    "ballot_reveal_window": 30,
    "attest_window": 30,
}


def tell(narrator: Narrator, name: str, **data: Any) -> str | None:
    values = {key: "0x" + v.hex() if isinstance(v, bytes) else v for key, v in data.items()}
    line = narrator.describe({"event": name, "data": {"timestamp": 0, "job": 1} | values})
    return None if line is None else line.partition("  ")[2] or line


@pytest.fixture
def narrator() -> Narrator:
    """Of a job in whose first round members 0, 2 and 5 have revealed."""
    narrator = Narrator()
    terms, escrow = PARAMETERS, str(1000 * TOKEN)
    tell(narrator, "JobCreated", parameters=terms, escrow=escrow, quantum=str(TOKEN // 10))
    tell(narrator, "RoundOpened", round=1, ends_at=60)
    for members in ((5, 0), (2,)):
        packed = pack_members(members)
        tell(narrator, "UpdatesRevealed", round=1, members=packed, opened=2 ** len(members) - 1)
    return narrator


def test_offer_in_tokens() -> None:
    line = tell(Narrator(), "JobCreated", parameters=PARAMETERS, escrow=str(TOKEN), quantum="1")
    assert line is not None
    assert line.startswith(
        "job offered: 10 rounds at 100.00 tokens, 1.00 in escrow; recruiting 3 to 7"
    )


def test_member_and_roles() -> None:
    line = tell(Narrator(), "MemberJoined", member=4, roles=3, stake=str(5 * TOKEN // 2))
    assert line == "member 4 joined as trainer and validator, 2.50 tokens at stake"


def test_commitments_add_up_and_start_anew(narrator: Narrator) -> None:
    first, second = (pack_entries([(m, DIGEST) for m in members]) for members in ((0, 1), (4,)))
    tell(narrator, "UpdatesCommitted", round=1, entries=first)
    line = tell(narrator, "UpdatesCommitted", round=1, entries=second)
    assert line == "round 1: commitments in: 3"
    tell(narrator, "RoundOpened", round=2, ends_at=60)
    line = tell(narrator, "UpdatesCommitted", round=2, entries=second)
    assert line == "round 2: commitments in: 1"


def test_entries_that_were_not_opened_do_not_count(narrator: Narrator) -> None:
    packed = pack_members((7, 8, 9))
    line = tell(narrator, "UpdatesRevealed", round=1, members=packed, opened=0b101)
    assert line == "round 1: updates revealed: 5"


def test_verdict_of_each_member(narrator: Narrator) -> None:
    line = tell(narrator, "RoundTallied", round=1, scores=pack_scores((4000, 0, SCORE_INVALID)))
    assert line == "round 1: verdicts: member 0 verified 4000, member 2 rejected, member 5 invalid"


def test_committee_and_its_ballots(narrator: Narrator) -> None:
    line = tell(narrator, "CommitteeDrawn", round=1, members=[5, 0, 2])
    assert line == "round 1: committee drawn: members 5, 0, 2"
    tell(narrator, "BallotsRevealed", round=1, seats=pack_seats((1,)))
    line = tell(narrator, "BallotsRevealed", round=1, seats=pack_seats((0,)))
    assert line == "round 1: ballots opened: 2 of 3"


def test_model_by_its_cid(narrator: Narrator) -> None:
    line = tell(narrator, "RoundFinalised", round=1, model_digest=DIGEST)
    assert line == f"round 1: model agreed: {Cid('dag-cbor', DIGEST)}"


def test_payments_in_tokens(narrator: Narrator) -> None:
    paid = {"fee": str(5 * TOKEN), "fee_recipient": "0xfee", "spent": str(25 * TOKEN)}
    packed = pack_payments([(0, 150), (2, 50)])
    line = tell(narrator, "RoundSettled", round=1, payments=packed, **paid)
    expected = "paid out 25.00 tokens: 15.00 to member 0, 5.00 to member 2, fee 5.00 to 0xfee"
    assert line == f"round 1: {expected}"


@pytest.mark.parametrize("reason", FailureReason)
def test_every_failure_has_words(narrator: Narrator, reason: FailureReason) -> None:
    name = reason.name.lower().replace("_", "-")
    line = tell(narrator, "RoundFailed", round=1, reason=name)
    assert line == f"round 1: failed: {FAILURES[name]}"


def test_states_in_words(narrator: Narrator) -> None:
    assert tell(narrator, "JobStateChanged", state="completed") == "job completed"
    assert tell(narrator, "JobStateChanged", state="recruiting") is None


def test_events_that_do_not_matter_are_left_out(narrator: Narrator) -> None:
    for name in ("PhaseStarted", "SeedBlockFixed", "RosterSealed", "ModelRecorded", "Unheard"):
        assert tell(narrator, name) is None


def test_unreadable_event_does_not_end_the_story(narrator: Narrator) -> None:
    line = tell(narrator, "RoundTallied", round=1, scores=pack_scores((1,)))
    assert line is not None
    assert line.startswith("event RoundTallied cannot be read")


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0.00"),
        ("1", "<0.01"),
        (99_999_999_999_999_999_479, "100.00"),
        (1_234_500 * TOKEN, "1,234,500.00"),
    ],
)
def test_tokens(wei: int | str, text: str) -> None:
    assert format_tokens(wei) == text


def test_job_is_told_in_tokens_and_without_a_dump() -> None:
    job: dict[str, Any] = {"job": 1, "state": "running", "requester": "0xa", "members": 4}
    job |= {"quantum": 1, "parameters_version": 1, "final": True}
    job |= {"finalised_rounds": 2, "failed_rounds": 1, "created_at": 0, "spec": "s"}
    job |= {"escrow": str(800 * TOKEN), "deposit": str(1000 * TOKEN), "refunded": "0"}
    fields = describe_job(Job(**job, initial_model="m", parameters=PARAMETERS))
    assert fields["escrow"] == "800.00 of 1,000.00 tokens left, 0.00 refunded"
    assert fields["rounds"] == "2 of 10 done, 1 failed (at most 3)"
    assert fields["price"].endswith("20 % of it to validators, 2.5 % to the coordinator")
    assert "{" not in "".join(fields.values())


def test_tables_align_and_cut_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["round", "model"], [["1", "b" * 90], ["10", ""]])
    assert capsys.readouterr().out.splitlines() == ["round  model", f"1      {'b' * 90}", "10"]
