"""Messages and a round's record, as the arguments of contract calls."""

from __future__ import annotations

from commonweal.protocol.batches import (
    BallotOpening,
    CommitmentBatch,
    RoundRecord,
    attest_model,
    collect_round,
    commit_ballots,
    commit_updates,
    finalise_round,
    join_job,
    reveal_ballots,
    reveal_updates,
    tally_ballots,
)
from commonweal.protocol.commitments import SALT_BYTES, pack_entries, pack_members, pack_scores
from commonweal.protocol.events import (
    BallotsCommitted,
    BallotsRevealed,
    EventRef,
    ModelAttested,
    RoundTallied,
    UpdatesCommitted,
    UpdatesRevealed,
)
from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    BallotRevealMessage,
    JoinMessage,
    ModelAttestationMessage,
    UpdateCommitmentMessage,
    UpdateRevealMessage,
)
from commonweal.protocol.types import Digest

REF = EventRef(10, b"\x01" * 32, b"\x02" * 32, 0, 1000)


SEALS = (b"\x02" + bytes(32),)


def word(number: int) -> bytes:
    return number.to_bytes(32)


def salt_of(number: int) -> bytes:
    return number.to_bytes(SALT_BYTES)


def hex_(data: bytes) -> str:
    return "0x" + data.hex()


def commitment(member: int) -> UpdateCommitmentMessage:
    signature = hex_(word(member) * 2)
    return UpdateCommitmentMessage(
        job=1, round=2, member=member, commitment=hex_(word(100 + member)), signature=signature
    )


def reveal(member: int) -> UpdateRevealMessage:
    digest, salt = hex_(word(200 + member)), hex_(salt_of(300 + member))
    return UpdateRevealMessage(job=1, round=2, member=member, digest=digest, salt=salt)


def ballot(seat: int) -> BallotRevealMessage:
    return BallotRevealMessage(
        job=1, round=2, seat=seat, scores=(seat, 7), salt=hex_(salt_of(seat))
    )


def attestation(seat: int, model: int) -> ModelAttestationMessage:
    signature = hex_(word(seat) * 2)
    return ModelAttestationMessage(
        job=1, round=2, seat=seat, model_digest=hex_(word(model)), signature=signature
    )


def batch_of(*members: int, batch: int = 0) -> CommitmentBatch:
    return CommitmentBatch(batch, tuple((member, word(100 + member)) for member in members))


def test_commitments_go_out_ascending_whatever_order_they_came_in() -> None:
    (call,) = commit_updates([commitment(9), commitment(2), commitment(300)])
    signatures = b"".join(word(member) * 2 for member in (2, 9, 300))
    commitments = (word(102), word(109), word(400))
    expected = (1, 2, pack_members([2, 9, 300]), commitments, signatures)
    assert (call.contract, call.function) == ("Rounds", "commitUpdates")
    assert call.args == expected


def test_more_than_256_commitments_take_two_calls() -> None:
    calls = commit_updates([commitment(member) for member in range(300)])
    assert [len(call.args[2]) // 2 for call in calls] == [256, 44]  # type: ignore[arg-type]


def test_a_reveal_repeats_the_commitments_of_those_who_did_not_come() -> None:
    record = RoundRecord(1, 2, batches=(batch_of(4, 1, 7),))
    (call,) = reveal_updates([reveal(1)], record)
    openings = word(104) + word(201) + salt_of(301) + word(107)
    assert call.args == (1, 2, 0, pack_members([4, 1, 7]), 0b010, openings)


def test_reveals_of_two_batches_are_two_calls_and_a_batch_of_nobody_is_none() -> None:
    batches = (batch_of(1, 2), batch_of(3, batch=1), batch_of(4, batch=2))
    calls = reveal_updates([reveal(4), reveal(2)], RoundRecord(1, 2, batches=batches))
    assert [call.args[2] for call in calls] == [0, 2]


def test_ballot_commitments_go_by_seat() -> None:
    messages = [
        BallotCommitmentMessage(
            job=1, round=2, seat=seat, commitment=hex_(word(seat)), signature=hex_(word(9) * 2)
        )
        for seat in (3, 0)
    ]
    assert commit_ballots(messages).args[2:4] == (b"\x00\x03", (word(0), word(3)))


def test_whoever_completes_the_ballots_gives_the_earlier_ones_again() -> None:
    record = RoundRecord(
        1, 2, seals=SEALS, ballots={2: BallotOpening(pack_scores([5, 6]), salt_of(55))}
    )
    alone = reveal_ballots([ballot(0)], record, repeat=False)
    assert alone.args[2:] == (b"\x00", pack_scores([0, 7]), salt_of(0), SEALS)
    complete = reveal_ballots([ballot(0)], record, repeat=True)
    ballots = pack_scores([0, 7, 5, 6])
    assert complete.args[2:] == (b"\x00\x02", ballots, salt_of(0) + salt_of(55), SEALS)
    assert tally_ballots(record).args[2:] == (b"\x02", pack_scores([5, 6]), salt_of(55), SEALS)


def test_the_model_with_most_seats_is_attested_first() -> None:
    calls = attest_model([attestation(0, 8), attestation(3, 9), attestation(1, 9)])
    assert [call.args[2:4] for call in calls] == [(word(9), b"\x01\x03"), (word(8), b"\x00")]


def test_a_join_keeps_its_proof() -> None:
    message = JoinMessage(
        job=1,
        provider="0x" + "11" * 20,
        roles=3,
        stake=10**20,
        deadline=99,
        allowlist_proof=(hex_(word(5)),),
        signature=hex_(word(6) * 2),
    )
    expected = (1, "0x" + "11" * 20, 3, 10**20, 99, (word(5),), word(6) * 2)
    assert join_job(message).args == expected


def test_a_round_is_collected_from_its_events_and_no_others() -> None:
    revealed = UpdatesRevealed(
        REF, 1, 2, 0, pack_members([4, 1]), 0b10, word(104) + word(201) + salt_of(301)
    )
    record = collect_round(
        [
            UpdatesCommitted(REF, 1, 2, 0, pack_entries([(4, word(104)), (1, word(101))])),
            UpdatesCommitted(REF, 1, 3, 0, pack_entries([(8, word(108))])),
            UpdatesCommitted(REF, 2, 2, 0, pack_entries([(9, word(109))])),
            revealed,
            BallotsCommitted(REF, 1, 2, b"\x01", (word(7),)),
            BallotsRevealed(REF, 1, 2, b"\x01", pack_scores([3]), salt_of(8)),
            RoundTallied(REF, 1, 2, pack_scores([3]), pack_scores([10_000])),
            ModelAttested(REF, 1, 2, Digest(word(66)), b"\x01"),
        ],
        1,
        2,
    )
    assert record == RoundRecord(
        job=1,
        round=2,
        batches=(batch_of(4, 1),),
        reveals=(pack_entries([(1, word(201))]),),
        digests={1: Digest(word(201))},
        seals=(b"\x01" + word(7),),
        sealed={1: word(7)},
        ballots={1: BallotOpening(pack_scores([3]), salt_of(8))},
        scores=pack_scores([3]),
        shares=pack_scores([10_000]),
        attestations={1: Digest(word(66))},
    )
    assert record.commitment_of(1) == word(101)
    assert record.commitment_of(2) is None
    expected = (1, 2, record.reveals, record.scores, record.shares)
    assert finalise_round(record).args == expected
