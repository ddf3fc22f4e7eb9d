"""What the contracts refuse, with the reason by name, and what faults cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contracts_stage import ETHER, TERMS, WINDOW, Stage, Worker, word
from eth_utils.crypto import keccak

from commonweal.adapters.codec import ContractReverted
from commonweal.protocol import signing
from commonweal.protocol.commitments import pack_members, pack_scores, unpack_scores
from commonweal.protocol.events import FaultProven, RoundTallied
from commonweal.protocol.merkle import compute_proof, compute_verdict_leaf
from commonweal.protocol.signing import Domain
from commonweal.protocol.types import Address, Fault, Phase, Provider, Role

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

INVALID, UNAVAILABLE = 65_535, 65_534
Workers = dict[int, Worker]


@pytest.fixture(scope="module")
def workers(stage: Stage) -> list[Worker]:
    return [stage.worker(stake=2_000 * ETHER) for _ in range(4)]


def start(stage: Stage, workers: list[Worker], **changes: object) -> tuple[int, Workers]:
    job = stage.create_job(stage.account(), **changes)
    members = {stage.join(job, worker): worker for worker in workers}
    stage.advance(job)
    return job, members


def refuse(
    stage: Stage, function: str, *args: object, contract: str = "Rounds"
) -> ContractReverted:
    with pytest.raises(ContractReverted) as raised:
        stage.send(stage.relay, contract, function, *args)
    return raised.value


def commit_as(
    stage: Stage, domain: Domain, job: int, round_: int, worker: Worker
) -> ContractReverted:
    """Member 0's commitment, signed by `worker` under `domain`."""
    value = stage.commitment(job, round_, 0)
    signature = worker.sign(signing.hash_update_commitment(domain, job, round_, value))
    return refuse(stage, "commitUpdates", job, round_, pack_members([0]), [value], signature)


def test_forged_and_foreign_commitments(stage: Stage, workers: list[Worker]) -> None:
    job, members = start(stage, workers)
    domain = stage.deployment.rounds_domain
    forged = commit_as(stage, domain, job, 1, members[1])
    assert (forged.name, forged.arguments["member"]) == ("MemberSignatureWrong", 0)
    assert forged.arguments["recovered"] == members[1].operator.address
    assert members[1].operator.address in forged.message
    for foreign in (replace(domain, chain_id=1), stage.deployment.board_domain):
        assert commit_as(stage, foreign, job, 1, members[0]).name == "MemberSignatureWrong"
    owner = Worker(members[0].owner, members[0].owner)
    assert commit_as(stage, domain, job, 1, owner).name == "MemberSignatureWrong"


def test_replayed_messages(stage: Stage, workers: list[Worker]) -> None:
    job, members = start(stage, workers)
    stage.commit(job, 1, {0: members[0]})
    again = commit_as(stage, stage.deployment.rounds_domain, job, 1, members[0])
    assert (again.name, again.arguments) == ("AlreadyCommitted", {"member": 0})
    # The same signed value in another job: another hash, so a stranger's signature.
    other, _ = start(stage, workers)
    value = stage.commitment(job, 1, 0)
    signature = members[0].sign(stage.hash_commitment(job, 1, value))
    replayed = refuse(stage, "commitUpdates", other, 1, pack_members([0]), [value], signature)
    assert replayed.name == "MemberSignatureWrong"


def test_a_copied_commitment_cannot_be_opened(stage: Stage, workers: list[Worker]) -> None:
    """Member 1 signs member 0's commitment as its own; the opening names another member."""
    job, members = start(stage, workers)
    copied = stage.commitment(job, 1, 0)
    values = [copied, copied, *(stage.commitment(job, 1, member) for member in (2, 3))]
    signatures = [
        members[member].sign(stage.hash_commitment(job, 1, value))
        for member, value in enumerate(values)
    ]
    batch = (job, 1, pack_members(range(4)), values, b"".join(signatures))
    stage.send(stage.relay, "Rounds", "commitUpdates", *batch)
    stage.mine()
    opening = b"".join([copied, stage.digest(job, 1, 0), stage.salt(job, 1, 0), *values[2:]])
    refused = refuse(stage, "revealUpdates", job, 1, 0, pack_members(range(4)), 0b10, opening)
    assert refused.name == "BatchWrong"


def test_messages_for_a_closed_phase(stage: Stage, workers: list[Worker]) -> None:
    job, members = start(stage, workers)
    stage.commit(job, 1, {member: members[member] for member in (0, 1)})
    early = refuse(stage, "revealUpdates", job, 1, 0, pack_members([0]), 1, bytes(48))
    assert early.name == "PhaseWrong"
    assert early.arguments == {"job": job, "phase": Phase.COMMIT, "expected": Phase.REVEAL}
    stage.travel(WINDOW)
    late = commit_as(stage, stage.deployment.rounds_domain, job, 1, members[2])
    assert late.name == "PhaseOver"
    stage.advance(job)
    closed = commit_as(stage, stage.deployment.rounds_domain, job, 1, members[2])
    assert (closed.name, closed.arguments["phase"]) == ("PhaseWrong", Phase.REVEAL)
    next_round = commit_as(stage, stage.deployment.rounds_domain, job, 2, members[2])
    assert next_round.name == "RoundWrong"
    assert next_round.arguments == {"job": job, "round": 2, "current": 1}


def test_an_unknown_job(stage: Stage, workers: list[Worker]) -> None:
    assert refuse(stage, "advance", 10**6).arguments == {"job": 10**6}
    signature = bytes(64)
    refused = refuse(stage, "commitUpdates", 10**6, 1, pack_members([0]), [word("x")], signature)
    assert refused.name == "RoundWrong"
    joining = (10**6, workers[0].provider, 3, 60 * ETHER, 2**40, [], signature)
    assert refuse(stage, "joinJob", *joining, contract="JobBoard").name == "JobUnknown"


def test_joining_under_false_pretences(stage: Stage, workers: list[Worker]) -> None:
    job = stage.create_job(stage.account())
    with pytest.raises(ContractReverted) as raised:
        stage.join(job, workers[0], stake=ETHER)
    assert raised.value.name == "MemberStakeTooLow"
    assert raised.value.arguments == {"have": ETHER, "need": TERMS.min_stake}
    stranger = replace(workers[0], operator=workers[1].operator)
    with pytest.raises(ContractReverted, match="SignatureWrong"):
        stage.join(job, stranger)
    trainer = stage.worker(roles=Role.TRAINER)
    with pytest.raises(ContractReverted, match="RolesNotHeld"):
        stage.join(job, trainer)
    stage.join(job, workers[0])
    with pytest.raises(ContractReverted, match="MemberExists"):
        stage.join(job, workers[0])


def provider_of(stage: Stage, worker: Worker) -> Provider:
    return stage.reader.fetch_provider(worker.provider, stage.now)


def last_fault(stage: Stage, job: int) -> FaultProven:
    events = stage.reader.fetch_events(stage.deployment.deployed_block, stage.now, job)
    return [event for event in events if isinstance(event, FaultProven)][-1]


def test_committed_and_not_revealed(stage: Stage, workers: list[Worker]) -> None:
    job, members = start(stage, workers)
    stage.commit(job, 1, members)
    stage.mine()
    stage.reveal(job, 1, 0, [0, 1, 2])
    early = refuse(stage, "proveUnrevealed", job, 1, 3, contract="Faults")
    assert early.name == "FaultNotProven"
    stage.travel(WINDOW)
    stage.advance(job)
    before = provider_of(stage, members[3])
    prover = stage.account()
    stage.send(prover, "Faults", "proveUnrevealed", job, 1, 3)
    fault = last_fault(stage, job)
    assert (fault.fault, fault.member) == (Fault.UNREVEALED, 3)
    amount = 60 * ETHER // 100
    assert before.free - provider_of(stage, members[3]).free == amount
    assert (
        refuse(stage, "proveUnrevealed", job, 1, 3, contract="Faults").name == "FaultAlreadyProven"
    )
    assert refuse(stage, "proveUnrevealed", job, 1, 2, contract="Faults").name == "FaultNotProven"
    settle(stage, fault.slash, prover.address, amount)


def settle(stage: Stage, slash: int, prover: str, amount: int) -> None:
    """The bounty goes to the prover, the rest to the treasury, and only after the appeal window."""
    rules = stage.reader.fetch_parameters(1, stage.now)
    bounty = amount * rules.bounty_bps // 10_000
    assert stage.reader.fetch_slash(slash, stage.now).bounty == bounty
    assert refuse(stage, "settleSlash", slash, contract="ProviderRegistry").name == "NotYet"
    stage.travel(rules.appeal_window)
    before = stage.balance(rules.treasury)
    stage.send(stage.relay, "ProviderRegistry", "settleSlash", slash)
    assert stage.balance(prover) == bounty
    assert stage.balance(rules.treasury) - before == amount - bounty
    again = refuse(stage, "settleSlash", slash, contract="ProviderRegistry")
    assert again.name == "SlashAlreadySettled"


def test_two_signed_values_for_one_slot(stage: Stage, workers: list[Worker]) -> None:
    job, members = start(stage, workers)
    values = word("one"), word("other")
    signatures = [members[0].sign(stage.hash_commitment(job, 1, value)) for value in values]
    proof = (job, 1, 0, values[0], signatures[0], values[1], signatures[1])
    prover = stage.account()
    stage.send(prover, "Faults", "proveEquivocation", *proof)
    fault = last_fault(stage, job)
    assert (fault.fault, fault.provider) == (Fault.EQUIVOCATION, members[0].provider)
    assert stage.reader.fetch_slash(fault.slash, stage.now).amount == 30 * ETHER
    settle(stage, fault.slash, prover.address, 30 * ETHER)
    framed = (job, 1, 0, values[0], signatures[0], values[1], bytes(64))
    assert refuse(stage, "proveEquivocation", *framed, contract="Faults").name == "FaultNotProven"


def test_invalid_and_unavailable_updates_and_an_absent_seat(
    stage: Stage, workers: list[Worker]
) -> None:
    job, members = start(stage, workers)
    stage.commit(job, 1, members)
    stage.mine()
    stage.reveal(job, 1, 0, list(members))
    ballots = {seat: [9, 9, INVALID, UNAVAILABLE] for seat in (0, 1)}
    stage.commit_ballots(job, 1, ballots, members)
    stage.travel(WINDOW)
    stage.advance(job)
    stage.reveal_ballots(job, 1, ballots)
    stage.attest(job, 1, word("model"), [0, 1, 2], members)
    stage.finalise(job, 1)
    check_verdict_faults(stage, job, members)
    absent = stage.reader.call("Rounds", "absencesOf", job, 1, at=stage.now)[0][2]
    stage.send(stage.account(), "Faults", "proveAbsent", job, 1, 2)
    assert (last_fault(stage, job).fault, last_fault(stage, job).member) == (Fault.ABSENT, absent)
    assert refuse(stage, "proveAbsent", job, 1, 1, contract="Faults").name == "FaultNotProven"


def check_verdict_faults(stage: Stage, job: int, members: Workers) -> None:
    events = stage.reader.fetch_events(stage.deployment.deployed_block, stage.now, job)
    scores = unpack_scores(next(e for e in events if isinstance(e, RoundTallied)).scores)
    digests = [stage.digest(job, 1, member) for member in members]
    leaves = list(map(compute_verdict_leaf, members, digests, scores))
    settlement = stage.settlement(job, 1, len(leaves))
    assert scores == (9, 9, INVALID, UNAVAILABLE)
    before = provider_of(stage, members[2])
    verdict = (job, 1, 2, digests[2], [*compute_proof(leaves, 2), settlement])
    stage.send(stage.relay, "Faults", "proveInvalid", *verdict)
    slash = stage.reader.fetch_slash(last_fault(stage, job).slash, stage.now)
    # Whoever proves it may have voted for it: no bounty.
    assert (slash.amount, slash.bounty) == (3 * ETHER, 0)
    assert before.free - provider_of(stage, members[2]).free == 3 * ETHER
    missed = provider_of(stage, members[3]).missed_duties
    verdict = (job, 1, 3, digests[3], [*compute_proof(leaves, 3), settlement])
    stage.send(stage.relay, "Faults", "proveUnavailable", *verdict)
    assert provider_of(stage, members[3]).missed_duties == missed + 1
    assert last_fault(stage, job).slash == 0
    lie = (job, 1, 0, digests[0], [*compute_proof(leaves, 0), settlement])
    assert refuse(stage, "proveInvalid", *lie, contract="Faults").name == "FaultNotProven"


def test_a_ballot_that_does_not_open_its_commitment(stage: Stage, workers: list[Worker]) -> None:
    job, members = start(stage, workers)
    stage.commit(job, 1, members)
    stage.mine()
    stage.reveal(job, 1, 0, list(members))
    ballots = {seat: [1, 2, 3, 4] for seat in range(3)}
    stage.commit_ballots(job, 1, ballots, members)
    salt = stage.salt(job, 1, stage.round(job).committee[0])
    seals = stage.seals(job, 1)
    other = refuse(stage, "revealBallots", job, 1, b"\0", pack_scores([1, 2, 3, 5]), salt, seals)
    assert (other.name, other.arguments) == ("BallotWrong", {"seat": 0})
    short = refuse(stage, "revealBallots", job, 1, b"\0", pack_scores([1]), salt, seals)
    assert (short.name, short.arguments) == ("LengthsDiffer", {"a": 2, "b": 8})
    forger = stage.account()
    digest = signing.hash_model_attestation(stage.deployment.rounds_domain, job, 1, word("m"))
    stage.reveal_ballots(job, 1, ballots)
    signature = signing.sign_compact(bytes(forger.key), digest)
    forged = refuse(stage, "attest", job, 1, word("m"), b"\0", signature)
    assert forged.name == "SeatSignatureWrong"
    assert forged.arguments["recovered"] == forger.address
    stage.attest(job, 1, word("m"), [0, 1, 2], members)
    records = stage.records(job, 1)
    scores, shares = pack_scores([1, 2, 3, 4]), pack_scores([10_000] * 3)
    cheat = pack_scores([1, 2, 3, 65_533])
    assert refuse(stage, "finalise", job, 1, records, cheat, shares).name == "TallyWrong"
    swapped = [keccak(records[0]) + records[0][32:]]
    assert refuse(stage, "finalise", job, 1, swapped, scores, shares).name == "RevealsWrong"


def test_the_board_pays_only_what_rounds_says(stage: Stage) -> None:
    job = stage.create_job(stage.account())
    thief = Address(stage.relay.address)
    refused = refuse(stage, "settleRound", job, 1, b"", thief, 10**18, contract="JobBoard")
    assert (refused.name, refused.arguments) == ("NotRounds", {"caller": thief})
    assert refuse(stage, "cancel", job, contract="JobBoard").name == "NotRequester"
