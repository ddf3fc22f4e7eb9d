"""When messages go, in which transaction, and whom a revert blames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import scripted_chain as script
from scripted_chain import NOBODY, word

from commonweal.adapters.chain import Block, ContractReverted
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.messages import (
    JoinMessage,
    Message,
    ModelAttestationMessage,
    UpdateCommitmentMessage,
)
from commonweal.protocol.types import ZERO_DIGEST, Digest, Job, JobState, Phase, Round, Wei
from service.batching import blame, next_batch, sort_letters
from service.mailbox import Letter
from service.views import JobView

JOB = Job(1, NOBODY, JobState.RUNNING, 1, 0, 0, 3, 3, 3, Wei(1), Wei(1), script.PARAMETERS)
ROUND = Round(
    job=1,
    round=2,
    phase=Phase.COMMIT,
    ends_at=1000,
    seed_block=0,
    expected=3,
    commits=0,
    reveals=0,
    batches=0,
    committee_size=3,
    committee=(),
    ballots_committed=frozenset(),
    ballots_revealed=frozenset(),
    attested=frozenset(),
    parent_model=ZERO_DIGEST,
    agreed_model=ZERO_DIGEST,
    committed=frozenset(),
    revealed=frozenset(),
)


def view(record: RoundRecord | None = None, *, trainers: int = 3, **changes: Any) -> JobView:
    block, job = Block(9, word(9), word(8), 500), replace(JOB, active_trainers=trainers)
    return JobView(job, replace(ROUND, **changes), (), record or RoundRecord(1, 2), block)


def letter(message: Message, at: int = 0) -> Letter:
    return Letter(f"id {message}", message, at)


def commitment(member: int, round_: int = 2) -> UpdateCommitmentMessage:
    text = "0x" + word(member).hex()
    return UpdateCommitmentMessage(
        job=1, round=round_, member=member, commitment=text, signature=text + text[2:]
    )


def attestation(seat: int, model: int) -> ModelAttestationMessage:
    text = "0x" + word(model).hex()
    return ModelAttestationMessage(
        job=1, round=2, seat=seat, model_digest=text, signature=text + text[2:]
    )


def join() -> JoinMessage:
    signature = "0x" + "11" * 64
    return JoinMessage(job=1, provider=NOBODY, roles=1, stake=1, deadline=2000, signature=signature)


def batch(found: JobView, letters: list[Letter], *, now: int = 500, ms: int = 0) -> Any:
    return next_batch(found, letters, now=now, now_ms=ms, delay=0.3)


def test_the_last_expected_message_sends_the_batch_at_once() -> None:
    letters = [letter(commitment(member)) for member in range(3)]
    assert batch(view(), letters[:2]) is None
    assert [call.function for call in batch(view(), letters).calls] == ["commitUpdates"]
    assert batch(view(commits=1), letters[:2]) is not None


@pytest.mark.parametrize(
    ("times", "ms", "now", "due"),
    [
        ((0, 100), 399, 500, False),
        ((0, 100), 400, 500, True),  # nobody came for a while
        ((0, 2350), 2399, 500, False),
        ((0, 2350), 2400, 500, True),  # the first has waited long enough
        ((0, 0), 10, 998, True),  # the phase is about to end
        ((0, 0), 9_000, 1000, False),  # it has ended
    ],
)
def test_a_batch_waits_a_little_for_more(
    times: tuple[int, ...], ms: int, now: int, due: bool
) -> None:
    letters = [letter(commitment(member), at) for member, at in enumerate(times)]
    assert (batch(view(trainers=9), letters, ms=ms, now=now) is not None) is due


def test_trainers_who_were_silent_last_time_are_given_the_delay_to_come_back() -> None:
    """One of three is expected; its message alone would close the phase on the other two."""
    letters = [letter(commitment(member)) for member in range(3)]
    back = view(expected=1)
    assert batch(back, letters[:1], ms=299) is None
    assert len(batch(back, letters, ms=299).letters) == 3
    assert len(batch(back, letters[:1], ms=300).letters) == 1


def test_equal_letters_are_one_intent_however_often_they_are_sent() -> None:
    letters = [letter(commitment(member)) for member in range(3)]
    assert batch(view(), letters).intent == batch(view(), letters).intent
    assert batch(view(), letters).intent != batch(view(trainers=2), letters[:2]).intent


def test_a_member_is_in_a_batch_once_however_many_values_wait_for_it() -> None:
    again = commitment(0).model_copy(update={"commitment": "0x" + "ee" * 32})
    letters = [letter(commitment(0)), letter(again, 50), letter(commitment(1), 100)]
    assert batch(view(), letters) is None  # two of three
    assert batch(view(), letters, ms=400).letters == (letters[0], letters[2])


def test_joining_goes_alone_and_waits_while_the_committee_is_drawn() -> None:
    letters = [letter(commitment(0)), letter(join())]
    found = batch(view(), letters)
    assert [call.function for call in found.calls] == ["joinJob"]
    assert batch(view(phase=Phase.REVEAL), letters) is None
    assert batch(view(phase=Phase.REVEAL, committee=(0, 1, 2)), letters) is not None


def test_the_attestations_that_agree_finalise_in_the_same_transaction() -> None:
    attest: dict[str, Any] = {"phase": Phase.ATTEST, "committee": (0, 1, 2)}
    letters = [letter(attestation(seat, 7)) for seat in range(3)]
    functions = [call.function for call in batch(view(**attest), letters).calls]
    assert functions == ["attest", "finalise"]
    split = [*letters[:2], letter(attestation(2, 8))]
    functions = [call.function for call in batch(view(**attest), split).calls]
    assert functions == ["attest", "attest"]
    record = RoundRecord(1, 2, attestations={0: Digest(word(7)), 1: Digest(word(7))})
    found = view(record, **attest, attested=frozenset({0, 1}))
    functions = [call.function for call in batch(found, letters[2:]).calls]
    assert functions == ["attest", "finalise"]


def test_letters_are_sorted_by_what_the_chain_says() -> None:
    here, there, late, early = (
        letter(commitment(0)),
        letter(commitment(1)),
        letter(commitment(2, round_=1)),
        letter(attestation(0, 7)),
    )
    found = sort_letters(view(committed=frozenset({1})), [here, there, late, early])
    assert (found.open, found.mined, found.closed) == ((here, early), (there,), (late,))
    after = sort_letters(view(phase=Phase.REVEAL), [here])
    assert after.closed == (here,)


def test_a_revert_blames_the_one_it_names_and_nobody_for_what_is_there_already() -> None:
    letters = [letter(commitment(member)) for member in range(3)]
    sent = batch(view(), letters)
    assert blame(sent, ContractReverted("MemberSignatureWrong", {"member": 1})) is letters[1]
    assert blame(sent, ContractReverted("AlreadyCommitted", {"member": 1})) is None
    assert blame(sent, ContractReverted("PhaseOver", {})) is None
    alone = batch(view(), [letter(join())])
    assert blame(alone, ContractReverted("MemberStakeTooLow", {})) is alone.letters[0]
