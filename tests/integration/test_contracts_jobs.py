"""Whole jobs on a real chain, by relay and by everybody for himself, against the pure protocol."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from contracts_stage import APPEAL_WINDOW, ETHER, TERMS, WINDOW, Stage, Worker, word

from commonweal.adapters.codec import ContractReverted
from commonweal.protocol import signing
from commonweal.protocol.commitments import pack_scores, unpack_scores, unpack_shares
from commonweal.protocol.committee import compute_seed, compute_weight, draw_committee
from commonweal.protocol.events import (
    ChainEvent,
    CommitteeDrawn,
    EscrowRefunded,
    RoundFailed,
    RoundFinalised,
    RoundSettled,
    RoundTallied,
)
from commonweal.protocol.merkle import (
    compute_allowlist_leaf,
    compute_proof,
    compute_root,
    compute_verdict_leaf,
    compute_verdict_root,
    is_proven,
)
from commonweal.protocol.rewards import pack_payments, split_round
from commonweal.protocol.transitions import fold
from commonweal.protocol.types import (
    Address,
    Digest,
    FailureReason,
    JobState,
    Phase,
    Role,
    Wei,
)
from commonweal.protocol.verdicts import tally

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

INVALID, UNAVAILABLE = 65_535, 65_534
Workers = dict[int, Worker]


@pytest.fixture(scope="module")
def workers(stage: Stage) -> list[Worker]:
    return [stage.worker(stake=1_000 * ETHER) for _ in range(4)]


def staff(stage: Stage, job: int, workers: list[Worker]) -> Workers:
    """Joins with different stakes; returns the workers by member."""
    return {
        stage.join(job, worker, stake=(60 + 7 * i) * ETHER): worker
        for i, worker in enumerate(workers)
    }


def play_to_tally(
    stage: Stage, job: int, round_: int, members: Workers, ballots: list[list[int]]
) -> None:
    """Through the relay; ballots by seat, and all phases end early."""
    stage.commit(job, round_, members)
    stage.mine()
    stage.reveal(job, round_, 0, list(members))
    by_seat = dict(enumerate(ballots))
    stage.commit_ballots(job, round_, by_seat, members)
    stage.reveal_ballots(job, round_, by_seat)


def events_of(stage: Stage, job: int) -> list[ChainEvent]:
    return stage.reader.fetch_events(stage.deployment.deployed_block, stage.now, job)


def one(events: list[ChainEvent], kind: type, round_: int) -> ChainEvent:
    return next(e for e in events if isinstance(e, kind) and e.round == round_)


def check_fold(stage: Stage, job: int) -> None:
    """What the contract shows at every block where something happened is what its events say."""
    events = events_of(stage, job)
    for block in sorted({event.ref.block_number for event in events}):
        state = fold(event for event in events if event.ref.block_number <= block)
        assert state is not None
        assert state.round == stage.reader.fetch_round(job, block), f"at block {block}"


def check_round(stage: Stage, job: int, round_: int, ballots: list[list[int]]) -> None:
    """Draw, tally, split and verdict root, computed here from the same inputs."""
    events = events_of(stage, job)
    drawn = one(events, CommitteeDrawn, round_)
    at = drawn.ref.block_number
    members = stage.reader.fetch_members(job, at)
    seed_block = stage.reader.fetch_round(job, at).seed_block
    randao = stage.reader.fetch_randao(seed_block)
    assert compute_seed(randao, stage.deployment["Rounds"], job, round_) == drawn.seed
    validators = [
        (m.member, compute_weight(m.stake))
        for m in members
        if Role.VALIDATOR in m.roles and m.active
    ]
    assert draw_committee(validators, TERMS.committee_size, drawn.seed) == drawn.members

    tallied = one(events, RoundTallied, round_)
    revealed = sorted(stage.reader.fetch_round(job, tallied.ref.block_number).revealed)
    result = tally(revealed, drawn.members, dict(enumerate(ballots)))
    assert (pack_scores(result.scores), pack_scores(result.shares)) == (
        tallied.scores,
        tallied.shares,
    )

    settled = one(events, RoundSettled, round_)
    shown = stage.reader.fetch_job(job, settled.ref.block_number)
    split = split_round(shown.parameters, shown.quantum, revealed, result, drawn.members)
    assert pack_payments(split.payments) == settled.payments
    assert (split.fee, split.spent) == (settled.fee, settled.spent)

    digests = [stage.digest(job, round_, member) for member in revealed]
    leaves = list(map(compute_verdict_leaf, revealed, digests, result.scores))
    settlement = stage.settlement(job, round_, len(revealed))
    root = compute_verdict_root(leaves, settlement)
    assert stage.reader.fetch_verdict_root(job, round_, stage.now) == root
    for index, (member, digest, score) in enumerate(
        zip(revealed, digests, result.scores, strict=True)
    ):
        proof = [*compute_proof(leaves, index), settlement]
        verdict = (job, round_, member, digest, score, proof)
        assert stage.reader.call("ModelLedger", "isVerdict", *verdict, at=stage.now)
        wrong = (job, round_, member, digest, score ^ 1, proof)
        assert not stage.reader.call("ModelLedger", "isVerdict", *wrong, at=stage.now)


def test_a_job_of_two_rounds_by_relay(stage: Stage, workers: list[Worker]) -> None:
    requester = stage.account()
    job = stage.create_job(requester)
    members = staff(stage, job, workers)
    assert list(members) == [0, 1, 2, 3]
    stage.advance(job)
    first = [[10, 500, 0, INVALID], [12, 400, 0, INVALID], [14, 300, 9, 7]]
    second = [[1, 1, 1, 1], [UNAVAILABLE, 1, 1, 1], [UNAVAILABLE, 1, 2, INVALID]]
    for round_, ballots in ((1, first), (2, second)):
        play_to_tally(stage, job, round_, members, ballots)
        model = word(f"model {round_}")
        stage.attest(job, round_, model, [0, 1], members)
        assert stage.round(job).agreed_model == bytes(32)
        stage.attest(job, round_, model, [2], members)
        assert stage.round(job).agreed_model == model
        stage.finalise(job, round_)
        assert stage.reader.fetch_model(job, round_, stage.now) == model
        check_round(stage, job, round_, ballots)
    check_fold(stage, job)
    assert stage.reader.fetch_job(job, stage.now).state is JobState.COMPLETED
    check_money(stage, job, requester.address, members)


def check_money(stage: Stage, job: int, requester: str, members: Workers) -> None:
    """Claims and refunds everything: what went in comes out, to the wei."""
    shown = stage.reader.fetch_job(job, stage.now)
    escrow = shown.parameters.rounds * shown.parameters.price_per_round
    settled = [e for e in events_of(stage, job) if isinstance(e, RoundSettled)]
    credits = {m.member: m.credit for m in stage.reader.fetch_members(job, stage.now)}
    fees = sum(event.fee for event in settled)
    assert sum(credits.values()) + fees == sum(event.spent for event in settled)
    assert shown.escrow == escrow - sum(event.spent for event in settled)
    for member, worker in members.items():
        if not credits[member]:
            with pytest.raises(ContractReverted, match="NothingToClaim"):
                stage.send(stage.relay, "JobBoard", "claim", worker.provider, [job])
            continue
        before = stage.balance(worker.provider)
        stage.send(stage.relay, "JobBoard", "claim", worker.provider, [job])
        assert stage.balance(worker.provider) - before == credits[member]
    before = stage.balance(requester)
    stage.send(stage.relay, "JobBoard", "refund", job)
    assert stage.balance(requester) - before == shown.escrow
    with pytest.raises(ContractReverted, match="NothingToRefund"):
        stage.send(stage.relay, "JobBoard", "refund", job)
    check_release(stage, job, [worker.provider for worker in members.values()])


def check_release(stage: Stage, job: int, providers: list[Address]) -> None:
    before = [stage.reader.fetch_provider(p, stage.now) for p in providers]
    stakes = [m.stake for m in stage.reader.fetch_members(job, stage.now)]
    with pytest.raises(ContractReverted, match="StillAppealable"):
        stage.send(stage.relay, "JobBoard", "release", job, providers)
    stage.travel(APPEAL_WINDOW)
    stage.send(stage.relay, "JobBoard", "release", job, providers)
    after = [stage.reader.fetch_provider(p, stage.now) for p in providers]
    assert [b.locked - a.locked for b, a in zip(before, after, strict=True)] == stakes
    assert [a.free - b.free for b, a in zip(before, after, strict=True)] == stakes


def test_a_job_with_no_relay_at_all(stage: Stage, workers: list[Worker]) -> None:
    """Everybody sends its own message, in a transaction of its own."""
    job = stage.create_job(stage.account(), rounds=1)
    members = staff(stage, job, workers)
    somebody = workers[0].operator
    stage.send(somebody, "Rounds", "advance", job)
    for member, worker in members.items():
        stage.commit(job, 1, {member: worker}, by=worker.operator)
    stage.mine()
    for member, worker in members.items():
        stage.reveal(job, 1, member, [member], by=worker.operator)
    assert stage.round(job).phase is Phase.BALLOT_COMMIT
    committee = stage.round(job).committee
    ballots = [[5, 6, 7, 8], [6, 6, 6, 6], [0, 5, 6, UNAVAILABLE]]
    judges = [members[member] for member in committee]
    for seat, judge in enumerate(judges):
        stage.commit_ballots(job, 1, {seat: ballots[seat]}, members, by=judge.operator)
    for seat in (0, 1):
        stage.reveal_ballots(job, 1, {seat: ballots[seat]}, by=judges[seat].operator)
    # The last gives all of them again, as nobody stores ballots.
    stage.reveal_ballots(job, 1, dict(enumerate(ballots)), by=judges[2].operator)
    for seat, judge in enumerate(judges):
        stage.attest(job, 1, word("model"), [seat], members, by=judge.operator)
    stage.finalise(job, 1, by=somebody)
    check_round(stage, job, 1, ballots)
    check_fold(stage, job)
    fees = stage.reader.fetch_fees(Address(somebody.address), stage.now)
    assert fees == TERMS.price_per_round * TERMS.coordinator_share_bps // 10_000
    stage.send(stage.relay, "JobBoard", "claimFees", somebody.address)
    assert stage.balance(somebody.address) == fees


def test_a_failed_round_is_retried_and_too_many_end_the_job(
    stage: Stage, workers: list[Worker]
) -> None:
    requester = stage.account()
    job = stage.create_job(requester)
    members = staff(stage, job, workers)
    stage.advance(job)
    stage.commit(job, 1, {0: members[0]})
    with pytest.raises(ContractReverted, match="NothingToAdvance"):
        stage.advance(job)
    stage.travel(WINDOW)
    stage.advance(job)
    failed = one(events_of(stage, job), RoundFailed, 1)
    assert failed.reason is FailureReason.TOO_FEW_COMMITMENTS
    assert (stage.round(job).round, stage.round(job).phase) == (2, Phase.COMMIT)
    # Nobody waits for those who were silent, but a minority never closes the phase.
    assert stage.round(job).expected == len(members) // 2 + 1
    play_to_ballots_of_nothing(stage, job, members)
    assert stage.reader.fetch_job(job, stage.now).state is JobState.EXHAUSTED
    check_fold(stage, job)
    check_money(stage, job, requester.address, members)


def play_to_ballots_of_nothing(stage: Stage, job: int, members: Workers) -> None:
    play_to_tally(stage, job, 2, members, [[0, 0, 0, 0]] * 3)
    failed = one(events_of(stage, job), RoundFailed, 2)
    assert failed.reason is FailureReason.NOTHING_VERIFIED


def test_too_few_reveals_and_a_model_nobody_agrees_on(stage: Stage, workers: list[Worker]) -> None:
    job = stage.create_job(stage.account(), max_failed_rounds=2)
    members = staff(stage, job, workers)
    stage.advance(job)
    stage.commit(job, 1, members)
    stage.mine()
    stage.reveal(job, 1, 0, [0])
    stage.travel(WINDOW)
    stage.advance(job)
    assert one(events_of(stage, job), RoundFailed, 1).reason is FailureReason.TOO_FEW_REVEALS
    play_to_tally(stage, job, 2, members, [[1, 2, 3, 4]] * 3)
    for seat in range(3):
        stage.attest(job, 2, word(f"model of seat {seat}"), [seat], members)
    with pytest.raises(ContractReverted, match="NoModelYet"):
        stage.finalise(job, 2)
    stage.travel(WINDOW)
    stage.advance(job)
    assert one(events_of(stage, job), RoundFailed, 2).reason is FailureReason.NO_MODEL_AGREED
    check_fold(stage, job)


def test_a_cancelled_job_finishes_its_round_and_refunds_the_rest(
    stage: Stage, workers: list[Worker]
) -> None:
    requester = stage.account()
    job = stage.create_job(requester)
    members = staff(stage, job, workers)
    stage.advance(job)
    stage.send(requester, "JobBoard", "cancel", job)
    assert stage.reader.fetch_job(job, stage.now).state is JobState.CANCELLING
    with pytest.raises(ContractReverted, match="JobStateWrong"):
        stage.send(stage.relay, "JobBoard", "refund", job)
    play_to_tally(stage, job, 1, members, [[1, 2, 3, 4]] * 3)
    stage.attest(job, 1, word("last"), [0, 1, 2], members)
    stage.finalise(job, 1)
    assert stage.reader.fetch_job(job, stage.now).state is JobState.CANCELLED
    check_fold(stage, job)
    check_money(stage, job, requester.address, members)


def test_a_job_cancelled_while_recruiting_pays_everything_back(stage: Stage) -> None:
    requester = stage.account()
    job = stage.create_job(requester)
    stage.send(requester, "JobBoard", "cancel", job)
    stage.send(stage.relay, "JobBoard", "refund", job)
    assert stage.balance(requester.address) == TERMS.rounds * TERMS.price_per_round
    refunds = [e for e in events_of(stage, job) if isinstance(e, EscrowRefunded)]
    assert [event.amount for event in refunds] == [TERMS.rounds * TERMS.price_per_round]


def test_a_job_for_a_consortium(stage: Stage, workers: list[Worker]) -> None:
    listed = [compute_allowlist_leaf(worker.provider) for worker in workers[:3]]
    root = Digest(compute_root(listed))
    job = stage.create_job(stage.account(), allowlist_root=root)
    for index, worker in enumerate(workers[:3]):
        proof = compute_proof(listed, index)
        assert is_proven(root, listed[index], proof)
        assert stage.join(job, worker, proof=proof) == index
    with pytest.raises(ContractReverted, match="NotOnAllowlist"):
        stage.join(job, workers[3], proof=compute_proof(listed, 0))


def test_a_seat_that_stays_away(stage: Stage, workers: list[Worker]) -> None:
    """Two of three seats are a quorum; the model needs all three, more than two thirds."""
    job = stage.create_job(stage.account(), rounds=1)
    members = staff(stage, job, workers)
    stage.advance(job)
    stage.commit(job, 1, members)
    stage.mine()
    stage.reveal(job, 1, 0, list(members))
    ballots = {0: [5, 5, 5, 5], 2: [6, 6, 6, 6]}
    stage.commit_ballots(job, 1, ballots, members)
    stage.travel(WINDOW)
    stage.advance(job)
    stage.reveal_ballots(job, 1, ballots)
    tallied = one(events_of(stage, job), RoundTallied, 1)
    committee = stage.round(job).committee
    assert tally(sorted(members), committee, ballots).shares == unpack_shares(tallied.shares)
    assert unpack_shares(tallied.shares)[1] == 0
    assert len(unpack_scores(tallied.scores)) == 4
    stage.attest(job, 1, word("model"), [0, 1, 2], members)
    stage.finalise(job, 1)
    absences = stage.reader.call("Rounds", "absencesOf", job, 1, at=stage.now)
    assert tuple(absences) == (committee, 1 << 1)
    assert isinstance(one(events_of(stage, job), RoundFinalised, 1), RoundFinalised)
    check_fold(stage, job)


def test_an_offer_carried_by_somebody_else(stage: Stage) -> None:
    escrow = Wei(TERMS.rounds * TERMS.price_per_round)
    requester = stage.account(tokens=escrow)
    board = stage.deployment["JobBoard"]
    stage.send(requester, "CommonwealToken", "approve", board, escrow)
    hashed = signing.compute_parameters_hash(TERMS)
    terms = (Address(requester.address), hashed, escrow, 5, 2**40)
    digest = signing.hash_job_offer(stage.deployment.board_domain, *terms)
    signature = signing.sign_compact(bytes(requester.key), digest)
    permit = (0, 0, 0, bytes(32), bytes(32))
    offer = (requester.address, astuple(TERMS), escrow, 5, 2**40, signature, permit)
    stage.send(stage.relay, "JobBoard", "createJobFor", *offer)
    job = stage.reader.fetch_job(stage.reader.fetch_job_count(stage.now), stage.now)
    assert (job.requester, job.parameters, job.escrow) == (requester.address, TERMS, escrow)
    with pytest.raises(ContractReverted, match="OfferUsed"):
        stage.send(stage.relay, "JobBoard", "createJobFor", *offer)
    dearer = (requester.address, astuple(TERMS), escrow + 1, 6, 2**40, signature, permit)
    with pytest.raises(ContractReverted, match="SignatureWrong"):
        stage.send(stage.relay, "JobBoard", "createJobFor", *dearer)
