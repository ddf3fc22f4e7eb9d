"""Slashes and models before a jury, with real signatures on a real chain."""

from __future__ import annotations

import pytest
from contracts_stage import APPEAL_WINDOW, ETHER, TERMS, Stage, Worker, word
from eth_account.signers.local import LocalAccount

from commonweal.protocol import events as ev
from commonweal.protocol.appeals import build_settlement
from commonweal.protocol.commitments import (
    compute_vote_commitment,
    pack_seats,
    unpack_scores,
)
from commonweal.protocol.merkle import compute_proof, compute_verdict_leaf
from commonweal.protocol.signing import Domain, hash_appeal_vote
from commonweal.protocol.types import SEED_DELAY, Address, FailureReason, JobState

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
PEOPLE = 12  # three on the committee, seven jurors, the accused, and one left over
SALT = bytes(range(16))
BOND = TERMS.min_stake
Workers = dict[int, Worker]


@pytest.fixture(scope="module")
def workers(stage: Stage) -> list[Worker]:
    return [stage.worker(stake=500 * ETHER) for _ in range(PEOPLE)]


def play_round(stage: Stage, workers: list[Worker], scores: list[int]) -> tuple[int, Workers]:
    """Round 1 of a new job, finalised with these scores from every seat."""
    job = stage.create_job(stage.account(), max_trainers=PEOPLE)
    members = {stage.join(job, worker): worker for worker in workers}
    stage.advance(job)
    stage.commit(job, 1, members)
    stage.mine()
    stage.reveal(job, 1, 0, list(members))
    ballots = dict.fromkeys(range(3), scores)
    stage.commit_ballots(job, 1, ballots, members)
    stage.reveal_ballots(job, 1, ballots)
    stage.attest(job, 1, word("model"), [0, 1, 2], members)
    stage.finalise(job, 1)
    return job, members


def events_of(stage: Stage, job: int | None = None) -> list[ev.ChainEvent]:
    return stage.reader.fetch_events(stage.deployment.deployed_block, stage.now, job)


def compute_leaves(stage: Stage, job: int) -> list[bytes]:
    tallied = next(e for e in events_of(stage, job) if isinstance(e, ev.RoundTallied))
    return [
        compute_verdict_leaf(member, stage.digest(job, 1, member), score)
        for member, score in enumerate(unpack_scores(tallied.scores))
    ]


def compute_settlement(stage: Stage, job: int) -> tuple[int, int, int, bytes]:
    """As `Appeals` takes it."""
    return build_settlement(events_of(stage, job), job, 1).argument


def appeal(stage: Stage, function: str, *args: object) -> tuple[int, LocalAccount]:
    appellant = stage.account(tokens=BOND)
    stage.send(appellant, "CommonwealToken", "approve", stage.deployment["Appeals"], BOND)
    stage.send(appellant, "Appeals", function, *args)
    stage.mine(SEED_DELAY + 1)  # one more, which calls are tried on
    return stage.reader.call("Appeals", "appealCount", at=stage.now), appellant


def vote(stage: Stage, number: int, members: Workers, overturning: int) -> None:
    """The jury is drawn; all of it votes, this many to overturn."""
    appeals = stage.deployment["Appeals"]
    domain = Domain(stage.deployment.chain_id, appeals)
    seed_block = stage.reader.call("Appeals", "caseOf", number, at=stage.now)["seed_block"]
    header = stage.reader.fetch_header(seed_block)
    stage.send(stage.relay, "Appeals", "draw", number, header)
    jury = stage.reader.call("Appeals", "juryOf", number, 1, at=stage.now)
    assert len(jury) == 7
    place = (stage.deployment.chain_id, appeals, number, 1)
    sealed = [
        compute_vote_commitment(*place, member, overturn=seat < overturning, salt=SALT)
        for seat, member in enumerate(jury)
    ]
    signatures = b"".join(
        members[member].sign(hash_appeal_vote(domain, number, 1, commitment))
        for member, commitment in zip(jury, sealed, strict=True)
    )
    seats = pack_seats(range(len(jury)))
    stage.send(stage.relay, "Appeals", "commitVotes", number, seats, sealed, signatures)
    for seat in range(len(jury)):
        details = (number, seat, seat < overturning, SALT)
        stage.send(stage.relay, "Appeals", "revealVote", *details)


def close(stage: Stage, number: int) -> None:
    stage.travel(APPEAL_WINDOW)
    stage.send(stage.relay, "Appeals", "advance", number)


def total_stake(stage: Stage, provider: Address) -> int:
    its = stage.reader.fetch_provider(provider, stage.now)
    return its.free + its.locked + its.unbonding


def test_an_overturned_slash_is_made_good(stage: Stage, workers: list[Worker]) -> None:
    job, members = play_round(stage, workers, [*[9] * (PEOPLE - 1), 65_535])
    accused = PEOPLE - 1
    provider = members[accused].provider
    before = total_stake(stage, provider)
    leaves = compute_leaves(stage, job)
    proof = [*compute_proof(leaves, accused), stage.settlement(job, 1, PEOPLE)]
    digest = stage.digest(job, 1, accused)
    stage.send(stage.relay, "Faults", "proveInvalid", job, 1, accused, digest, proof)
    assert total_stake(stage, provider) < before
    slash = stage.reader.call("ProviderRegistry", "slashCount", at=stage.now)
    settlement = compute_settlement(stage, job)
    number, appellant = appeal(stage, "appealSlash", slash, settlement)
    vote(stage, number, members, overturning=4)
    close(stage, number)
    returned = [e for e in events_of(stage) if isinstance(e, ev.SlashReturned)]
    assert [(e.slash, e.provider) for e in returned] == [(slash, provider)]
    moved = [e for e in events_of(stage) if isinstance(e, ev.StakeMoved)]
    assert {e.payee for e in moved} == {provider}
    paid = sum(e.amount for e in moved if e.payer != provider)
    assert total_stake(stage, provider) == before + paid > before
    stage.send(stage.relay, "Appeals", "takeOwed", appellant.address)
    assert stage.balance(appellant.address) == BOND


def test_an_overturned_model_ends_its_job(stage: Stage, workers: list[Worker]) -> None:
    job, members = play_round(stage, workers, [9] * PEOPLE)
    stage.commit(job, 2, {0: members[0]})  # a round is in flight
    number, _ = appeal(stage, "appealModel", job, 1, compute_settlement(stage, job))
    assert not stage.reader.is_overturned(job, 1, stage.now)
    vote(stage, number, members, overturning=7)
    assert not stage.reader.is_overturned(job, 1, stage.now)  # it may still be appealed
    close(stage, number)
    assert stage.reader.is_overturned(job, 1, stage.now)
    assert stage.reader.fetch_job(job, stage.now).state is JobState.CANCELLED
    failed = [e for e in events_of(stage, job) if isinstance(e, ev.RoundFailed)]
    assert [(e.round, e.reason) for e in failed] == [(2, FailureReason.STOPPED)]
    drawn = next(e for e in events_of(stage, job) if isinstance(e, ev.CommitteeDrawn)).members
    slashed = [e for e in events_of(stage) if isinstance(e, ev.StakeSlashed)][-3:]
    assert {e.provider for e in slashed} == {members[member].provider for member in drawn}
    assert sum(e.bounty for e in slashed) <= TERMS.price_per_round * 2
    requester = stage.reader.fetch_job(job, stage.now).requester
    assert {e.prover for e in slashed} == {requester}


def test_an_upheld_model_changes_nothing(stage: Stage, workers: list[Worker]) -> None:
    job, members = play_round(stage, workers, [9] * PEOPLE)
    number, appellant = appeal(stage, "appealModel", job, 1, compute_settlement(stage, job))
    vote(stage, number, members, overturning=3)
    close(stage, number)
    assert not stage.reader.is_overturned(job, 1, stage.now)
    assert stage.reader.fetch_job(job, stage.now).state is JobState.RUNNING
    assert stage.reader.call("Appeals", "owedTo", appellant.address, at=stage.now) == 0
