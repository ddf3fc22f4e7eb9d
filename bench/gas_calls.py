"""What single calls cost, outside a round's phases: stake, membership, money and faults.

Eight trainers, a committee of five. Round 1 is faultless; in round 2 member 0 does not reveal, one
update is invalid, one could not be fetched, and one seat sends nothing: that of a member without
another fault, since a second fault of one member is cheaper to record. Keys are fixed, so that
what is signed and sent is the same in every run but for times and block hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

from eth_account.signers.local import LocalAccount

from bench.round_driver import (
    ETHER,
    FOREVER,
    PRICE,
    STAKE,
    Gas,
    Messages,
    Network,
    build_network,
    create_account,
    job_parameters,
    relay_round,
)
from commonweal.adapters.local_chain import LocalChain, advance_time
from commonweal.adapters.transactions import TransactionSender
from commonweal.protocol import merkle, signing
from commonweal.protocol.batches import (
    ContractCall,
    RoundRecord,
    advance_job,
    attest_model,
    commit_ballots,
    commit_updates,
    finalise_round,
    reveal_ballots,
    reveal_updates,
    tally_ballots,
)
from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.events import CommitteeDrawn, RoundFinalised
from commonweal.protocol.messages import BallotRevealMessage
from commonweal.protocol.signing import Domain, sign_compact
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE, Address, Role, Score, Wei

_TRAINERS = 8
_SEATS = 5
_SILENT, _BROKEN, _LOST = 0, 1, 2  # members: no reveal, an invalid update, an unavailable one
_DAY = 86_400
_BOTH = int(Role.TRAINER | Role.VALIDATOR)


@dataclass(frozen=True)
class FaultyMessages(Messages):
    def ballot(self, seat: int) -> BallotRevealMessage:
        """Only of the updates that are revealed."""
        ballot = super().ballot(seat)
        special = {_BROKEN: SCORE_INVALID, _LOST: SCORE_UNAVAILABLE}
        scores = [special.get(m, score) for m, score in enumerate(ballot.scores) if m != _SILENT]
        return ballot.model_copy(update={"scores": tuple(map(Score, scores))})


@dataclass
class Costs:
    """Sends calls and keeps what each cost under its name."""

    network: Network
    gas: Gas = field(default_factory=Gas)

    def note(
        self, name: str, contract: str, function: str, *args: object, by: LocalAccount | None = None
    ) -> None:
        call = ContractCall(contract, function, args)
        self.gas[name] = self.network.send(call, self._sender(by))

    def send(self, contract: str, function: str, *args: object, by: LocalAccount | None) -> None:
        self.network.send(ContractCall(contract, function, args), self._sender(by))

    def _sender(self, by: LocalAccount | None) -> TransactionSender | None:
        network = self.network
        return TransactionSender(network.reader, by, network.outbox) if by else None


def measure_calls(chain: LocalChain) -> Gas:
    """Gas by call, on a node of its own."""
    network = build_network(chain.rpc_url, _TRAINERS, _SEATS, rounds=2)
    costs = Costs(network)
    relay_round(network, 1)
    _measure_claims(costs)
    absent = _play_faulty_round(network)
    _measure_faults(costs, absent)
    _measure_stake(costs)
    _measure_membership(costs)
    return costs.gas


def _measure_claims(costs: Costs) -> None:
    network, jobs = costs.network, [costs.network.job]
    empty, holder = (network.trainers[member].owner for member in (3, 4))
    costs.note("claim, owner holds no token", "JobBoard", "claim", empty.address, jobs)
    costs.send("CommonwealToken", "transfer", holder.address, 1, by=None)
    costs.note("claim, owner holds tokens", "JobBoard", "claim", holder.address, jobs)
    coordinator = job_parameters(network, 1).coordinator
    costs.note("claimFees", "JobBoard", "claimFees", coordinator)


def _play_faulty_round(network: Network) -> tuple[int, int]:
    """(seat, member) that was absent."""
    messages = FaultyMessages(network, round=2)
    members = range(_TRAINERS)
    _send(network, commit_updates([messages.commitment(member) for member in members]))
    network.let_seed_block_pass()
    openings = [messages.reveal(member) for member in members if member != _SILENT]
    _send(network, [*reveal_updates(openings, network.record(2)), network.draw()])
    _end_phase(network)
    drawn = tuple(enumerate(network.committee()))
    absent = next(place for place in drawn if place[1] > _LOST)
    seats = [place for place in drawn if place != absent]
    _send(network, [commit_ballots([messages.ballot_commitment(*seat) for seat in seats])])
    _end_phase(network)
    ballots = [messages.ballot(seat) for seat, _ in seats]
    _send(network, [reveal_ballots(ballots, network.record(2), repeat=False)])
    if network.record(2).scores == b"":
        _send(network, [tally_ballots(network.record(2))])
    _send(network, attest_model([messages.attestation(*seat) for seat in seats]))
    _send(network, [finalise_round(network.record(2))])
    return absent


def _send(network: Network, calls: Sequence[ContractCall]) -> None:
    for call in calls:
        network.send(call)


def _end_phase(network: Network) -> None:
    advance_time(network.reader.rpc_url, _DAY + 1)
    network.send(advance_job(network.job))


def _measure_faults(costs: Costs, absent: tuple[int, int]) -> None:
    network, (seat, member) = costs.network, absent
    slot, prover = (network.job, 2), network.trainers[5].owner
    for name, bad in (("proveInvalid", _BROKEN), ("proveUnavailable", _LOST)):
        costs.note(name, "Faults", name, *slot, *_proof(network, bad), by=prover)
    costs.note("proveUnrevealed", "Faults", "proveUnrevealed", *slot, _SILENT, by=prover)
    costs.note("proveAbsent", "Faults", "proveAbsent", *slot, seat, by=prover)
    liar = next(other for other in range(_LOST + 1, _TRAINERS) if other != member)
    contradiction = _contradiction(network, liar)
    costs.note("proveEquivocation", "Faults", "proveEquivocation", *slot, 0, *contradiction)
    advance_time(network.reader.rpc_url, _DAY)
    costs.note("settleSlash, without bounty", "ProviderRegistry", "settleSlash", 1)
    costs.note("settleSlash, with bounty", "ProviderRegistry", "settleSlash", 2)


def _proof(network: Network, member: int) -> tuple[object, ...]:
    record = network.record(2)
    members = sorted(record.digests)
    scores = unpack_scores(record.scores)
    leaves = [
        merkle.compute_verdict_leaf(member, record.digests[member], score)
        for member, score in zip(members, scores, strict=True)
    ]
    path = merkle.compute_proof(leaves, members.index(member))
    return member, record.digests[member], (*path, _settlement(network, record))


def _settlement(network: Network, record: RoundRecord) -> bytes:
    """Everybody who attested in round 2 attested one model."""
    head, first = network.reader.fetch_head().number, network.reader.deployment.deployed_block
    events = network.reader.fetch_events(first, head, network.job)
    drawn = next(e for e in events if isinstance(e, CommitteeDrawn) and e.round == record.round)
    final = next(e for e in events if isinstance(e, RoundFinalised) and e.round == record.round)
    seats, at = record.attestations, final.ref.timestamp
    return merkle.compute_settlement_leaf(drawn.members, seats, at, len(record.digests))


def _contradiction(network: Network, member: int) -> tuple[bytes, bytes, bytes, bytes]:
    key, signed = bytes(network.trainers[member].operator.key), []
    for word in (b"\x11" * 32, b"\x22" * 32):
        digest = signing.hash_update_commitment(network.domain, network.job, 2, word)
        signed += [word, sign_compact(key, digest)]
    first, first_signature, second, second_signature = signed
    return first, first_signature, second, second_signature


def _measure_stake(costs: Costs) -> None:
    network = costs.network
    contracts, rpc_url = network.reader.deployment.contracts, network.reader.rpc_url
    owner, operator = (
        create_account(rpc_url, f"newcomer's {key}") for key in ("owner", "operator")
    )
    costs.send("CommonwealToken", "transfer", owner.address, 3 * STAKE, by=None)
    costs.send("CommonwealToken", "approve", contracts["ProviderRegistry"], 3 * STAKE, by=owner)
    announced = (operator.address, _BOTH, STAKE, "https://node.example.org:8443", b"\x07" * 32)
    costs.note("register with stake", "ProviderRegistry", "register", *announced, by=owner)
    costs.note("addStake", "ProviderRegistry", "addStake", STAKE, by=owner)
    costs.note("unbond", "ProviderRegistry", "unbond", STAKE, by=owner)
    advance_time(rpc_url, _DAY)
    costs.note("withdraw", "ProviderRegistry", "withdraw", by=owner)
    successor = create_account(rpc_url, "newcomer's next operator").address
    costs.note("setOperator", "ProviderRegistry", "setOperator", successor, by=owner)


def _measure_membership(costs: Costs) -> None:
    """In a second job, while it recruits. The trainers' stake is free again: the first is over."""
    network = costs.network
    first_job, providers = network.job, [trainer.owner.address for trainer in network.trainers]
    costs.note("release of eight", "JobBoard", "release", first_job, providers)
    costs.note("refund", "JobBoard", "refund", first_job)
    board = network.reader.deployment.contracts["JobBoard"]
    costs.send("CommonwealToken", "approve", board, 2 * PRICE, by=None)
    terms = (astuple(job_parameters(network, 2, min_stake=Wei(ETHER))), 2 * PRICE)
    costs.note("createJob", "JobBoard", "createJob", *terms)
    job = network.reader.fetch_job_count(network.reader.fetch_head().number)
    for name, member in (("joinJob, first", 3), ("joinJob, later", 4)):
        costs.note(name, "JobBoard", "joinJob", *_join(network, job, member))
    costs.note("leaveJob", "JobBoard", "leaveJob", *_leave(network, job, member=4))
    costs.note("cancel", "JobBoard", "cancel", job)


def _join(network: Network, job: int, member: int) -> tuple[object, ...]:
    owner, stake = Address(network.trainers[member].owner.address), Wei(50 * ETHER)
    message = (job, owner, Role(_BOTH), stake, 0, FOREVER)
    digest = signing.hash_job_join(_board(network), *message)
    return job, owner, _BOTH, stake, FOREVER, (), _sign(network, member, digest)


def _leave(network: Network, job: int, member: int) -> tuple[object, ...]:
    owner = Address(network.trainers[member].owner.address)
    digest = signing.hash_job_leave(_board(network), job, owner, 1, FOREVER)
    return job, owner, FOREVER, _sign(network, member, digest)


def _board(network: Network) -> Domain:
    return Domain(network.reader.chain_id, network.reader.deployment.contracts["JobBoard"])


def _sign(network: Network, member: int, digest: bytes) -> bytes:
    return sign_compact(bytes(network.trainers[member].operator.key), digest)
