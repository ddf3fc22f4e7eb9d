"""Drives whole rounds on a real local node, with real signatures, and keeps every receipt's gas.

Trainers and committee are keys here, not processes: what they would send is signed and sent.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from itertools import count

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.deploying import deploy
from commonweal.adapters.local_chain import fund, mine
from commonweal.adapters.transactions import Outbox, TransactionSender, create_outbox_tables
from commonweal.protocol.batches import (
    ContractCall,
    RoundRecord,
    attest_model,
    collect_round,
    commit_ballots,
    commit_updates,
    draw_committee,
    finalise_round,
    reveal_ballots,
    reveal_updates,
)
from commonweal.protocol.commitments import (
    SALT_BYTES,
    compute_ballot_commitment,
    compute_update_commitment,
    pack_scores,
)
from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    BallotRevealMessage,
    ModelAttestationMessage,
    UpdateCommitmentMessage,
    UpdateRevealMessage,
)
from commonweal.protocol.signing import (
    Domain,
    hash_ballot_commitment,
    hash_job_join,
    hash_model_attestation,
    hash_update_commitment,
    sign_compact,
)
from commonweal.protocol.types import (
    SEED_DELAY,
    Address,
    Bps,
    Digest,
    JobParameters,
    Role,
    Score,
    Wei,
)

ETHER = 10**18
STAKE = Wei(100 * ETHER)
PRICE = Wei(1000 * ETHER)
ROSTER_PAGE = 128  # members whose operators one sealRoster call stores as code
_WINDOW = 86_400
FOREVER = 2**40
_RECRUITING = 30 * 86_400

Gas = dict[str, int]  # by phase


@dataclass(frozen=True, slots=True)
class Trainer:
    owner: LocalAccount
    operator: LocalAccount


@dataclass
class Network:
    """One job on one chain; member i is trainer i."""

    reader: ChainReader
    relay: TransactionSender
    outbox: Outbox
    trainers: tuple[Trainer, ...]
    committee_size: int
    job: int = 0
    intents: Iterable[int] = field(default_factory=count)
    random: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def domain(self) -> Domain:
        return Domain(self.reader.chain_id, self.reader.deployment.contracts["Rounds"])

    def send(self, call: ContractCall, sender: TransactionSender | None = None) -> int:
        """Gas used."""
        intent = str(next(iter(self.intents)))
        receipt = (sender or self.relay).send(intent, call.contract, call.function, *call.args)
        return receipt.gas_used

    def multicall(self, calls: Sequence[ContractCall]) -> int:
        data = [self.reader.encode(call.contract, call.function, *call.args)[1] for call in calls]
        return self.send(ContractCall("Rounds", "multicall", (data,)))

    def record(self, round_: int) -> RoundRecord:
        head = self.reader.fetch_head().number
        first = self.reader.deployment.deployed_block
        return collect_round(self.reader.fetch_events(first, head, self.job), self.job, round_)

    def committee(self) -> tuple[int, ...]:
        return self.reader.fetch_round(self.job, self.reader.fetch_head().number).committee

    def draw(self) -> ContractCall:
        seed_block = self.reader.fetch_round(self.job, self.reader.fetch_head().number).seed_block
        return draw_committee(self.job, self.reader.fetch_header(seed_block))

    def let_seed_block_pass(self) -> None:
        mine(self.reader.rpc_url, SEED_DELAY + 1)


def build_network(rpc_url: str, trainers: int, committee_size: int, rounds: int) -> Network:
    """Deploys, registers everybody, opens a job and seals its roster."""
    network = found_network(rpc_url, trainers, committee_size, rounds)
    for trainer in network.trainers:
        enrol(network, trainer)
    start_job(network)
    return network


def found_network(rpc_url: str, trainers: int, committee_size: int, rounds: int) -> Network:
    """Contracts and an open job, which the trainers have not joined yet."""
    deployer = create_account(rpc_url, "deployer", ether=100)
    reader = ChainReader(rpc_url, deploy(rpc_url, deployer))
    engine = create_engine(
        "sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool
    )
    create_outbox_tables(engine)
    outbox = Outbox(engine)
    people = tuple(create_trainer(rpc_url, i) for i in range(trainers))
    relay = TransactionSender(reader, deployer, outbox)
    network = Network(reader, relay, outbox, people, committee_size)
    _open_job(network, rounds)
    return network


def start_job(network: Network) -> Gas:
    """Seals the roster and opens the first round. The dearest call of either kind."""
    pages = range(-(-len(network.trainers) // ROSTER_PAGE))
    seals = [ContractCall("JobBoard", "sealRoster", (network.job, page)) for page in pages]
    return {
        "seal_roster": max(network.send(seal) for seal in seals),
        "start": network.send(ContractCall("Rounds", "advance", (network.job,))),
    }


def create_trainer(rpc_url: str, index: int) -> Trainer:
    return Trainer(create_account(rpc_url, f"owner {index}"), _key_of(f"operator {index}"))


def create_account(rpc_url: str, name: str, ether: int = 2) -> LocalAccount:
    """The same key for a name in every run, with coins for gas."""
    account = _key_of(name)
    fund(rpc_url, Address(account.address), Wei(ether * ETHER))
    return account


def _key_of(name: str) -> LocalAccount:
    account: LocalAccount = Account.from_key(keccak(text=name))
    return account


def _open_job(network: Network, rounds: int) -> None:
    escrow = rounds * PRICE
    board = network.reader.deployment.contracts["JobBoard"]
    network.send(ContractCall("CommonwealToken", "approve", (board, escrow)))
    parameters = job_parameters(network, rounds)
    network.send(ContractCall("JobBoard", "createJob", (astuple(parameters), escrow)))
    network.job = network.reader.fetch_job_count(network.reader.fetch_head().number)


def job_parameters(network: Network, rounds: int, min_stake: Wei = STAKE) -> JobParameters:
    return JobParameters(
        spec_digest=Digest(bytes([1]) * 32),
        initial_model=Digest(bytes([2]) * 32),
        rounds=rounds,
        price_per_round=PRICE,
        validator_share_bps=Bps(2000),
        coordinator_share_bps=Bps(500),
        coordinator=Address("0x" + "c0" * 20),
        min_trainers=2,
        max_trainers=len(network.trainers),
        committee_size=network.committee_size,
        min_stake=min_stake,
        commit_window=_WINDOW,
        reveal_window=_WINDOW,
        ballot_commit_window=_WINDOW,
        ballot_reveal_window=_WINDOW,
        attest_window=_WINDOW,
        recruit_until=network.reader.fetch_head().timestamp + _RECRUITING,
        max_failed_rounds=3,
        allowlist_root=Digest(bytes(32)),
    )


def enrol(network: Network, trainer: Trainer, roles: Role = Role.TRAINER | Role.VALIDATOR) -> int:
    """Registers, and joins the job with all of the stake. The gas of joining."""
    owner = TransactionSender(network.reader, trainer.owner, network.outbox)
    registry = network.reader.deployment.contracts["ProviderRegistry"]
    network.send(ContractCall("CommonwealToken", "transfer", (owner.address, STAKE)))
    network.send(ContractCall("CommonwealToken", "approve", (registry, STAKE)), owner)
    announced = (trainer.operator.address, int(roles), STAKE, "http://127.0.0.1", bytes(32))
    network.send(ContractCall("ProviderRegistry", "register", announced), owner)
    board = Domain(network.reader.chain_id, network.reader.deployment.contracts["JobBoard"])
    digest = hash_job_join(board, network.job, owner.address, roles, STAKE, 0, FOREVER)
    signature = sign_compact(bytes(trainer.operator.key), digest)
    join = (network.job, owner.address, int(roles), STAKE, FOREVER, (), signature)
    return network.send(ContractCall("JobBoard", "joinJob", join))


@dataclass(frozen=True)
class Messages:
    """Everything that is signed and opened in one round."""

    network: Network
    round: int

    def commitment(self, member: int) -> UpdateCommitmentMessage:
        opening = self.reveal(member)
        domain, job = self.network.domain, self.network.job
        commitment = compute_update_commitment(
            domain.chain_id,
            domain.contract,
            job,
            self.round,
            member,
            bytes.fromhex(opening.digest[2:]),
            bytes.fromhex(opening.salt[2:]),
        )
        digest = hash_update_commitment(domain, job, self.round, commitment)
        return UpdateCommitmentMessage(
            job=job,
            round=self.round,
            member=member,
            commitment=_hex(commitment),
            signature=self._sign(member, digest),
        )

    def reveal(self, member: int) -> UpdateRevealMessage:
        chance = random.Random(f"{self.round} {member}")
        return UpdateRevealMessage(
            job=self.network.job,
            round=self.round,
            member=member,
            digest=_hex(chance.randbytes(32)),
            salt=_hex(chance.randbytes(SALT_BYTES)),
        )

    def ballot(self, seat: int) -> BallotRevealMessage:
        chance = random.Random(f"{self.round} ballot {seat}")
        scores = tuple(Score(chance.randrange(500, 60_000)) for _ in self.network.trainers)
        return BallotRevealMessage(
            job=self.network.job,
            round=self.round,
            seat=seat,
            scores=scores,
            salt=_hex(chance.randbytes(SALT_BYTES)),
        )

    def ballot_commitment(self, seat: int, member: int) -> BallotCommitmentMessage:
        domain, job, ballot = self.network.domain, self.network.job, self.ballot(seat)
        commitment = compute_ballot_commitment(
            domain.chain_id,
            domain.contract,
            job,
            self.round,
            member,
            pack_scores(ballot.scores),
            bytes.fromhex(ballot.salt[2:]),
        )
        digest = hash_ballot_commitment(domain, job, self.round, commitment)
        return BallotCommitmentMessage(
            job=job,
            round=self.round,
            seat=seat,
            commitment=_hex(commitment),
            signature=self._sign(member, digest),
        )

    def attestation(self, seat: int, member: int) -> ModelAttestationMessage:
        model = random.Random(f"model {self.round}").randbytes(32)
        digest = hash_model_attestation(self.network.domain, self.network.job, self.round, model)
        return ModelAttestationMessage(
            job=self.network.job,
            round=self.round,
            seat=seat,
            model_digest=_hex(model),
            signature=self._sign(member, digest),
        )

    def _sign(self, member: int, digest: bytes) -> str:
        return _hex(sign_compact(bytes(self.network.trainers[member].operator.key), digest))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def relay_round(network: Network, round_: int) -> Gas:
    """Every phase in one batch, as the relay sends them. Gas by phase."""
    messages, gas = Messages(network, round_), Gas()
    members = range(len(network.trainers))
    (commit,) = commit_updates([messages.commitment(member) for member in members])
    gas["commit"] = network.send(commit)
    network.let_seed_block_pass()
    openings = [messages.reveal(member) for member in members]
    (reveal,) = reveal_updates(openings, network.record(round_))
    gas["reveal_and_draw"] = network.multicall([reveal, network.draw()])
    seats = tuple(enumerate(network.committee()))
    sealed = [messages.ballot_commitment(seat, member) for seat, member in seats]
    gas["ballot_commit"] = network.send(commit_ballots(sealed))
    ballots = [messages.ballot(seat) for seat, _ in seats]
    opened = reveal_ballots(ballots, network.record(round_), repeat=False)
    gas["ballot_reveal_and_tally"] = network.send(opened)
    (attest,) = attest_model([messages.attestation(seat, member) for seat, member in seats])
    finalise = finalise_round(network.record(round_))
    gas["attest_and_finalise"] = network.multicall([attest, finalise])
    return gas


def direct_round(network: Network, round_: int) -> Gas:
    """Every message in a transaction of its own, and nothing relayed. Gas by phase."""
    messages, gas = Messages(network, round_), Gas()
    members = range(len(network.trainers))
    gas["commit"] = sum(
        network.send(call)
        for member in members
        for call in commit_updates([messages.commitment(member)])
    )
    network.let_seed_block_pass()
    record = network.record(round_)
    gas["reveal_and_draw"] = sum(
        network.send(call)
        for member in members
        for call in reveal_updates([messages.reveal(member)], record)
    )
    gas["reveal_and_draw"] += network.send(network.draw())
    seats = tuple(enumerate(network.committee()))
    gas["ballot_commit"] = sum(
        network.send(commit_ballots([messages.ballot_commitment(seat, member)]))
        for seat, member in seats
    )
    gas["ballot_reveal_and_tally"] = sum(
        network.send(
            reveal_ballots(
                [messages.ballot(seat)], network.record(round_), repeat=seat == len(seats) - 1
            )
        )
        for seat, _ in seats
    )
    gas["attest"] = sum(
        network.send(call)
        for seat, member in seats
        for call in attest_model([messages.attestation(seat, member)])
    )
    gas["finalise"] = network.send(finalise_round(network.record(round_)))
    return gas
