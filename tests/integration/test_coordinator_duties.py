"""What the coordinator does unasked: seals rosters, proves faults, retries rounds, makes room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest
from contracts_stage import ETHER, TERMS, WINDOW, Stage, Worker, word
from coordinator_stage import Coordinator, Json, Troupe, play_round, text, wait_for
from eth_account.signers.local import LocalAccount

from commonweal.protocol import events as ev
from commonweal.protocol.cids import compute_cid
from commonweal.protocol.merkle import compute_allowlist_leaf, compute_proof, compute_root
from commonweal.protocol.types import FailureReason, Fault, JobState

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

INVALID, UNAVAILABLE = 65_535, 65_534
Event = TypeVar("Event")


@pytest.fixture(scope="module")
def coordinator(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """It waits for messages long enough for something to happen meanwhile."""
    folder = tmp_path_factory.mktemp("coordinator")
    coordinator = Coordinator(stage, folder, {"--relay-delay": 1.5})
    coordinator.start()
    yield coordinator
    coordinator.close()


@pytest.fixture(scope="module")
def workers(stage: Stage) -> list[Worker]:
    return [stage.worker(stake=10_000 * ETHER) for _ in range(20)]


def recruit(
    coordinator: Coordinator,
    workers: Sequence[Worker],
    requester: LocalAccount | None = None,
    **changes: object,
) -> Troupe:
    """A job in its first COMMIT phase, whose members joined through the coordinator."""
    stage = coordinator.stage
    later = stage.reader.fetch_head().timestamp + 3_600
    terms = {"recruit_until": later, "max_trainers": len(workers)} | changes
    job = stage.create_job(requester or stage.account(), **terms)
    troupe = Troupe(stage, job, list(workers))
    coordinator.wait_mined(coordinator.accept([troupe.join(worker) for worker in workers]))
    coordinator.wait_phase(job, 1, "commit")
    return troupe


def events_of(stage: Stage, kind: type[Event], job: int | None = None) -> list[Event]:
    events = stage.reader.fetch_events(stage.deployment.deployed_block, stage.now, job)
    return [event for event in events if isinstance(event, kind)]


def sender_of(stage: Stage, event: Any) -> str:
    return str(stage.reader.web3.eth.get_transaction(event.ref.tx_hash)["from"])


def commits(troupe: Troupe, round_: int) -> list[Json]:
    return [troupe.commit(round_, m, worker) for m, worker in troupe.members().items()]


# A big job


def test_a_job_of_twenty_pays_to_the_wei_with_one_transaction_per_phase(
    stage: Stage, coordinator: Coordinator, workers: list[Worker]
) -> None:
    board, requester = stage.deployment["JobBoard"], stage.account()
    held = stage.balance(board)
    troupe = recruit(coordinator, workers, requester, rounds=1, committee_size=5)
    job = troupe.job
    sealed = wait_for(lambda: events_of(stage, ev.RosterSealed, job), what="the sealing")
    assert [(event.page, event.members) for event in sealed] == [(0, 20)]
    play_round(coordinator, troupe, 1, word("model"))

    kinds = (ev.UpdatesCommitted, ev.UpdatesRevealed, ev.BallotsCommitted, ev.BallotsRevealed)
    phases = [events_of(stage, kind, job) for kind in (*kinds, ev.ModelAttested)]
    assert [len(found) for found in phases] == [1] * 5
    (finalised,) = events_of(stage, ev.RoundFinalised, job)
    assert finalised.ref.tx_hash == phases[-1][0].ref.tx_hash
    relay = coordinator.account.address
    assert {sender_of(stage, event) for (event,) in phases} | {
        sender_of(stage, event) for event in sealed
    } == {relay}
    updates = coordinator.get(f"/v1/jobs/{job}/rounds/1/updates")["items"]
    assert [update["verdict"] for update in updates] == ["verified"] * 20
    unclaimed = check_money(stage, job, requester, relay)
    assert stage.balance(board) == held + unclaimed


def check_money(stage: Stage, job: int, requester: LocalAccount, relay: str) -> int:
    """Requester, coordinator and two members take what is theirs; returns what the others can."""
    deposit = TERMS.price_per_round
    fee = deposit * TERMS.coordinator_share_bps // 10_000
    members = stage.reader.fetch_members(job, stage.now)
    escrow = stage.reader.fetch_job(job, stage.now).escrow
    assert all(member.credit > 0 for member in members)
    assert sum(member.credit for member in members) + fee + escrow == deposit
    for member in members[:2]:
        before = stage.balance(member.provider)
        stage.send(stage.relay, "JobBoard", "claim", member.provider, [job])
        assert stage.balance(member.provider) - before == member.credit
    before = stage.balance(relay)
    stage.send(stage.relay, "JobBoard", "claimFees", relay)
    assert stage.balance(relay) - before == fee
    stage.send(stage.relay, "JobBoard", "refund", job)
    assert stage.balance(requester.address) == escrow
    return sum(member.credit for member in members[2:])


# Faults


def test_faults_are_proven_and_settled_without_anybody_asking(
    stage: Stage, coordinator: Coordinator, workers: list[Worker]
) -> None:
    """Member 0 judges nothing, 2 and 3 offer what is of no use, 4 commits and never reveals."""
    coordinator_before = stage.balance(coordinator.account.address)
    troupe = recruit(coordinator, workers[:5], rounds=1, committee_size=5, ballot_commit_window=60)
    job, members = troupe.job, troupe.members()
    free = {m: stage.reader.fetch_provider(w.provider, stage.now).free for m, w in members.items()}
    coordinator.wait_mined(coordinator.accept(commits(troupe, 1)))
    coordinator.wait_phase(job, 1, "reveal")
    coordinator.wait_mined(coordinator.accept([troupe.reveal(1, m) for m in range(4)]))
    assert wait_fault(stage, job, Fault.UNREVEALED, after=0) is None
    stage.travel(WINDOW)
    assert wait_fault(stage, job, Fault.UNREVEALED) == 4
    judge_without(coordinator, troupe, absent=0)

    faults = wait_for(
        lambda: found if len(found := events_of(stage, ev.FaultProven, job)) == 4 else None,
        what="the proofs",
    )
    rules = stage.reader.fetch_parameters(1, stage.now)
    expected = {
        (Fault.UNREVEALED, 4): (rules.unrevealed_slash_bps, True, 0),
        (Fault.ABSENT, 0): (rules.absent_slash_bps, True, 1),
        (Fault.INVALID_UPDATE, 2): (rules.invalid_slash_bps, False, 0),
        (Fault.UNAVAILABLE_UPDATE, 3): (0, False, 1),
    }
    assert {(fault.fault, fault.member) for fault in faults} == set(expected)
    taken = bounties = 0
    for fault in faults:
        bps, pays, missed = expected[fault.fault, fault.member]
        provider = stage.reader.fetch_provider(members[fault.member].provider, stage.now)
        amount = 60 * ETHER * bps // 10_000
        assert (free[fault.member] - provider.free, provider.missed_duties) == (amount, missed)
        assert (fault.slash != 0) == (amount != 0)
        assert sender_of(stage, fault) == coordinator.account.address
        if amount:
            slash = stage.reader.fetch_slash(fault.slash, stage.now)
            bounty = amount * rules.bounty_bps // 10_000 if pays else 0
            assert (slash.amount, slash.bounty, slash.settled) == (amount, bounty, False)
            taken, bounties = taken + amount, bounties + bounty
    assert bounties > 0
    check_settlement(coordinator, [fault.slash for fault in faults if fault.slash], taken, bounties)
    assert stage.balance(coordinator.account.address) - coordinator_before == bounties


def test_good_work_ends_a_row_of_missed_duties_without_anybody_asking(
    stage: Stage, coordinator: Coordinator, workers: list[Worker]
) -> None:
    """Member 0 judges nothing in the first round, and 3 cannot be fetched."""
    troupe = recruit(coordinator, workers[:5], rounds=2, committee_size=5, ballot_commit_window=60)
    job, members = troupe.job, troupe.members()
    coordinator.wait_mined(coordinator.accept(commits(troupe, 1)))
    coordinator.wait_phase(job, 1, "reveal")
    coordinator.wait_mined(coordinator.accept([troupe.reveal(1, m) for m in range(4)]))
    stage.travel(WINDOW)
    judge_without(coordinator, troupe, absent=0)

    def count_missed() -> list[int]:
        owners = [members[m].provider for m in (0, 3)]
        return [stage.reader.fetch_provider(owner, stage.now).missed_duties for owner in owners]

    wait_for(lambda: count_missed() == [1, 1], what="the misses")
    play_round(coordinator, troupe, 2, word("model"))
    wait_for(lambda: count_missed() == [0, 0], what="the end of both rows")


def wait_fault(stage: Stage, job: int, fault: Fault, after: float = 20) -> int | None:
    """The member who was found to have it, or None if nobody was."""

    def find() -> list[int]:
        return [f.member for f in events_of(stage, ev.FaultProven, job) if f.fault is fault]

    if not after:
        return next(iter(find()), None)
    found: list[int] = wait_for(find, after, f"{fault.name} of job {job}")
    return found[0]


def judge_without(coordinator: Coordinator, troupe: Troupe, absent: int) -> None:
    """The rest of round 1: `absent` misses every duty of its seat."""
    stage, members = troupe.stage, troupe.members()
    shown = coordinator.wait_phase(troupe.job, 1, "ballot-commit")
    seats = {seat: m for seat, m in enumerate(shown["committee"]) if m != absent}
    scores = [100, 100, INVALID, UNAVAILABLE]
    sealed = [troupe.commit_ballot(1, seat, m, members[m], scores) for seat, m in seats.items()]
    coordinator.wait_mined(coordinator.accept(sealed))
    stage.travel(60)
    coordinator.wait_phase(troupe.job, 1, "ballot-reveal")
    openings = [troupe.reveal_ballot(1, seat, m, scores) for seat, m in seats.items()]
    coordinator.wait_mined(coordinator.accept(openings))
    coordinator.wait_phase(troupe.job, 1, "attest")
    votes = [troupe.attest(1, seat, members[m], word("model")) for seat, m in seats.items()]
    coordinator.wait_mined(coordinator.accept(votes))
    updates = coordinator.get(f"/v1/jobs/{troupe.job}/rounds/1/updates")["items"]
    assert [update["score"] for update in updates] == [*scores, None]


def check_settlement(
    coordinator: Coordinator, slashes: list[int], taken: int, bounties: int
) -> None:
    """Not before the appeal window is over, and then at once."""
    stage = coordinator.stage
    rules = stage.reader.fetch_parameters(1, stage.now)
    treasury = stage.balance(rules.treasury)
    assert events_of(stage, ev.SlashSettled) == []
    stage.travel(rules.appeal_window)
    settled = wait_for(
        lambda: found if len(found := events_of(stage, ev.SlashSettled)) == 3 else None,
        what="the settlement",
    )
    assert sorted(event.slash for event in settled) == sorted(slashes)
    assert stage.balance(rules.treasury) - treasury == taken - bounties


# Batches


def test_a_message_that_turns_bad_while_it_waits_costs_the_others_nothing(
    stage: Stage, coordinator: Coordinator, workers: list[Worker]
) -> None:
    troupe = recruit(coordinator, workers[5:9])
    job, members = troupe.job, troupe.members()
    moved = Worker(members[2].owner, stage.account())
    operator = moved.operator.address
    stage.send(moved.owner, "ProviderRegistry", "setOperator", operator)
    ids = coordinator.accept([troupe.commit(1, member, members[member]) for member in (0, 1, 2)])
    stage.send(stage.relay, "JobBoard", "refreshOperator", job, moved.provider)
    stage.commit(job, 1, {1: members[1]})

    def find() -> list[Json] | None:
        states: list[Json] = [coordinator.get(f"/v1/messages/{each}") for each in ids]
        done = all(state["state"] in ("mined", "refused") for state in states)
        return states if done else None

    sent, overtaken, refused = wait_for(find, what="the batch")
    assert (sent["state"], sent["reason"]) == ("mined", None)
    assert sent["tx"] is not None
    assert (overtaken["state"], overtaken["tx"]) == ("mined", None)
    assert (refused["state"], refused["reason"]) == ("refused", "member-signature-wrong")
    assert stage.round(job).committed == {0, 1}
    # Signed anew with the key that counts now, the same value is welcome.
    coordinator.wait_mined(coordinator.accept(troupe.commit(1, 2, moved)))
    assert stage.round(job).committed == {0, 1, 2}


# Rounds that fail, jobs that are closed or cancelled


def test_a_round_that_failed_is_retried_and_the_job_is_finished(
    stage: Stage, coordinator: Coordinator, workers: list[Worker]
) -> None:
    troupe = recruit(coordinator, workers[9:13])
    (alone,) = coordinator.accept(troupe.commit(1, 0, troupe.members()[0]))
    coordinator.wait_mined([alone])
    stage.travel(WINDOW)
    coordinator.wait_phase(troupe.job, 2, "commit")
    (failed,) = events_of(stage, ev.RoundFailed, troupe.job)
    assert (failed.round, failed.reason) == (1, FailureReason.TOO_FEW_COMMITMENTS)
    assert sender_of(stage, failed) == coordinator.account.address
    # Three were silent and are not waited for; they are back, and all four take part.
    for round_ in (2, 3):
        play_round(coordinator, troupe, round_, word(f"model {round_}"))
    shown = coordinator.get(f"/v1/jobs/{troupe.job}")
    assert (shown["state"], shown["failed_rounds"]) == ("completed", 1)
    rounds = coordinator.get(f"/v1/jobs/{troupe.job}/rounds")["items"]
    assert [each["state"] for each in rounds] == ["failed", "finalised", "finalised"]
    updates = coordinator.get(f"/v1/jobs/{troupe.job}/rounds/2/updates")["items"]
    assert [update["verdict"] for update in updates] == ["verified"] * 4


def test_a_closed_job_is_joined_with_proof_and_its_cancellation_refunds_the_rest(
    stage: Stage, coordinator: Coordinator, workers: list[Worker]
) -> None:
    invited, requester = workers[13:17], stage.account()
    leaves = [compute_allowlist_leaf(worker.provider) for worker in invited]
    later = stage.reader.fetch_head().timestamp + 3_600
    terms = {"rounds": 3, "recruit_until": later, "allowlist_root": compute_root(leaves)}
    troupe = Troupe(stage, stage.create_job(requester, **terms), list(invited))
    job = troupe.job
    for stranger in (troupe.join(workers[17]), troupe.join(invited[0])):
        proof = [text(node) for node in compute_proof(leaves, 1)]
        check_refused(coordinator, {**stranger, "allowlist_proof": proof}, "not-on-allowlist")
    joins = [
        {**troupe.join(worker), "allowlist_proof": list(map(text, compute_proof(leaves, index)))}
        for index, worker in enumerate(invited)
    ]
    coordinator.wait_mined(coordinator.accept(joins))
    play_round(coordinator, troupe, 1, word("model 1"))
    coordinator.wait_phase(job, 2, "commit")
    stage.send(requester, "JobBoard", "cancel", job)
    wait_for(lambda: coordinator.get(f"/v1/jobs/{job}")["state"] == "cancelling")
    play_round(coordinator, troupe, 2, word("model 2"))  # who works on it is paid
    chain = stage.reader.fetch_job(job, stage.now)
    assert (chain.state, chain.finalised_rounds) == (JobState.CANCELLED, 2)
    settled = events_of(stage, ev.RoundSettled, job)
    left = 3 * TERMS.price_per_round - sum(event.spent for event in settled)
    assert left > TERMS.price_per_round
    stage.send(stage.relay, "JobBoard", "refund", job)
    assert stage.balance(requester.address) == left
    shown = wait_for(
        lambda: (
            found
            if int((found := coordinator.get(f"/v1/jobs/{job}"))["refunded"]) == left
            else None
        ),
        what="the refund",
    )
    assert (shown["state"], int(shown["escrow"])) == ("cancelled", 0)


def test_a_job_cancelled_in_an_empty_round_refunds_everything(
    stage: Stage, coordinator: Coordinator, workers: list[Worker]
) -> None:
    requester = stage.account()
    troupe = recruit(coordinator, workers[:4], requester)
    stage.send(requester, "JobBoard", "cancel", troupe.job)
    stage.travel(WINDOW)  # nobody commits: the keeper ends the round, and with it the job
    wait_for(lambda: coordinator.get(f"/v1/jobs/{troupe.job}")["state"] == "cancelled")
    stage.send(stage.relay, "JobBoard", "refund", troupe.job)
    assert stage.balance(requester.address) == TERMS.rounds * TERMS.price_per_round


def check_refused(coordinator: Coordinator, message: Json, reason: str) -> None:
    (posted,) = coordinator.accept(message)

    def find() -> Json | None:
        state: Json = coordinator.get(f"/v1/messages/{posted}")
        return state if state["state"] == "refused" else None

    assert wait_for(find, what="the refusal")["reason"] == reason


# Content


def test_a_store_that_somebody_filled_has_room_again_and_kept_the_job(
    stage: Stage, tmp_path: Path
) -> None:
    options = {"--content-bytes": 2**20, "--content-grace": 0}
    coordinator = Coordinator(stage, tmp_path, options).start()
    try:
        coordinator.http.headers.update(coordinator.sign_in(stage.account(tokens=ETHER)))
        spec = b"\x58\xff" + b"s" * 255
        stage.create_job(stage.account(), spec_digest=sha256(spec).digest())
        named = upload(coordinator, spec, "dag-cbor")
        rubbish = [upload(coordinator, bytes([n]) * 2**16, "raw") for n in range(16)]
        statuses = [status for _, status in (named, *rubbish)]
        assert (statuses[0], statuses[-1]) == (201, 507)
        cid = rubbish[0][0]
        wait_for(lambda: not has(coordinator, cid), what="the collection")
        assert upload(coordinator, b"an update", "raw")[1] == 201
        assert has(coordinator, named[0])
    finally:
        coordinator.close()


def upload(coordinator: Coordinator, block: bytes, codec: Any) -> tuple[str, int]:
    cid = str(compute_cid(block, codec))
    return cid, coordinator.http.put(f"/v1/blocks/{cid}", content=block).status_code


def has(coordinator: Coordinator, cid: str) -> bool:
    return coordinator.http.head(f"/ipfs/{cid}?format=raw").status_code == 200
