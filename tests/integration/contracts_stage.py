"""Everybody a job needs, with real keys, on a real chain; one method per step of the protocol."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from sqlalchemy import Engine
from web3.types import RPCEndpoint

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.deployment import Deployment
from commonweal.adapters.local_chain import advance_time, fund, mine
from commonweal.adapters.transactions import Outbox, Receipt, TransactionSender
from commonweal.protocol import signing
from commonweal.protocol.batches import collect_round
from commonweal.protocol.commitments import (
    SALT_BYTES,
    compute_ballot_commitment,
    compute_update_commitment,
    pack_entries,
    pack_members,
    pack_scores,
    pack_seats,
    unpack_entries,
    unpack_seats,
)
from commonweal.protocol.events import (
    CommitteeDrawn,
    JobCreated,
    ModelAttested,
    RoundFinalised,
    RoundTallied,
    UpdatesCommitted,
    UpdatesRevealed,
)
from commonweal.protocol.merkle import compute_settlement_leaf
from commonweal.protocol.transitions import opened_members
from commonweal.protocol.types import (
    SEED_DELAY,
    ZERO_DIGEST,
    Address,
    Bps,
    Digest,
    JobParameters,
    Phase,
    Role,
    Round,
    Wei,
)

ETHER = 10**18
BOTH = Role.TRAINER | Role.VALIDATOR
FOREVER = 2**40
WINDOW = 3_600
APPEAL_WINDOW = 600  # of local_parameters
TERMS = JobParameters(
    spec_digest=Digest(keccak(text="spec")),
    initial_model=Digest(keccak(text="initial model")),
    rounds=2,
    price_per_round=Wei(100 * ETHER + 7),
    validator_share_bps=Bps(2_000),
    coordinator_share_bps=Bps(333),
    coordinator=Address("0x" + "00" * 20),
    min_trainers=2,
    max_trainers=4,
    committee_size=3,
    min_stake=Wei(50 * ETHER),
    commit_window=WINDOW,
    reveal_window=WINDOW,
    ballot_commit_window=WINDOW,
    ballot_reveal_window=WINDOW,
    attest_window=WINDOW,
    recruit_until=0,
    max_failed_rounds=1,
    allowlist_root=ZERO_DIGEST,
)


@dataclass(frozen=True)
class Worker:
    owner: LocalAccount
    operator: LocalAccount

    @property
    def provider(self) -> Address:
        return Address(self.owner.address)

    def sign(self, digest: bytes) -> bytes:
        return signing.sign_compact(bytes(self.operator.key), digest)


@cache
def word(text: str) -> bytes:
    return keccak(text=text)


class Stage:
    def __init__(
        self, rpc_url: str, deployment: Deployment, deployer: LocalAccount, engine: Engine
    ) -> None:
        self.rpc_url = rpc_url
        self.deployment = deployment
        self.deployer = deployer
        self.reader = ChainReader(rpc_url, deployment)
        self.relay = self.account()
        self.engine = engine
        self._senders: dict[str, TransactionSender] = {}
        self._intents = itertools.count()

    # Anybody

    @property
    def now(self) -> int:
        return self.reader.fetch_head().number

    def tell_node(self, method: str, *parameters: object) -> None:
        answer = self.reader.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in answer, answer

    def mine(self, blocks: int = SEED_DELAY) -> None:
        """By default the blocks until the one that seeds a draw."""
        mine(self.rpc_url, blocks)

    def travel(self, seconds: int) -> None:
        advance_time(self.rpc_url, seconds)

    def account(self, tokens: int = 0) -> LocalAccount:
        account = Account.create()
        fund(self.rpc_url, Address(account.address), Wei(10 * ETHER))
        if tokens:
            self.send(self.deployer, "CommonwealToken", "transfer", account.address, tokens)
        return account

    def send(self, who: LocalAccount, contract: str, function: str, *args: object) -> Receipt:
        intent = f"{function}:{next(self._intents)}"
        return self.sender(who).send(intent, contract, function, *args)

    def sender(self, who: LocalAccount) -> TransactionSender:
        if who.address not in self._senders:
            outbox = Outbox(self.engine)
            self._senders[who.address] = TransactionSender(self.reader, who, outbox)
        return self._senders[who.address]

    def balance(self, of: str) -> int:
        return self.reader.fetch_balance(Address(of), self.now)

    # Providers and jobs

    def worker(self, stake: int = 100 * ETHER, roles: Role = BOTH) -> Worker:
        worker = Worker(self.account(tokens=stake), self.account())
        registry = self.deployment["ProviderRegistry"]
        self.send(worker.owner, "CommonwealToken", "approve", registry, stake)
        details = (worker.operator.address, int(roles), stake, "http://localhost", ZERO_DIGEST)
        self.send(worker.owner, "ProviderRegistry", "register", *details)
        return worker

    def create_job(self, requester: LocalAccount, **changes: object) -> int:
        parameters = replace(TERMS, **changes)  # type: ignore[arg-type]
        escrow = parameters.rounds * parameters.price_per_round
        self.send(self.deployer, "CommonwealToken", "transfer", requester.address, escrow)
        board = self.deployment["JobBoard"]
        self.send(requester, "CommonwealToken", "approve", board, escrow)
        receipt = self.send(requester, "JobBoard", "createJob", astuple(parameters), escrow)
        events = self.reader.fetch_events(receipt.block_number, receipt.block_number)
        return next(event.job for event in events if isinstance(event, JobCreated))

    def join(
        self,
        job: int,
        worker: Worker,
        roles: Role = BOTH,
        stake: int = 60 * ETHER,
        proof: Sequence[bytes] = (),
    ) -> int:
        nonce = self.reader.fetch_member_nonce(job, worker.provider, self.now)
        domain = self.deployment.board_domain
        message = (job, worker.provider, roles, Wei(stake), nonce, FOREVER)
        signature = worker.sign(signing.hash_job_join(domain, *message))
        details = (job, worker.provider, int(roles), stake, FOREVER, list(proof), signature)
        self.send(self.relay, "JobBoard", "joinJob", *details)
        return int(self.reader.call("JobBoard", "memberIndexOf", job, worker.provider, at=self.now))

    # One round

    def round(self, job: int) -> Round:
        return self.reader.fetch_round(job, self.now)

    def advance(self, job: int) -> Receipt:
        return self.send(self.relay, "Rounds", "advance", job)

    def digest(self, job: int, round_: int, member: int) -> bytes:
        return word(f"update {job} {round_} {member}")

    def salt(self, job: int, round_: int, member: int) -> bytes:
        return word(f"salt {job} {round_} {member}")[:SALT_BYTES]

    def commitment(self, job: int, round_: int, member: int) -> bytes:
        opening = self.digest(job, round_, member), self.salt(job, round_, member)
        return compute_update_commitment(*self._slot(job, round_, member), *opening)

    def commit(
        self,
        job: int,
        round_: int,
        workers: Mapping[int, Worker],
        by: LocalAccount | None = None,
    ) -> Receipt:
        """`workers` by member."""
        members = sorted(workers)
        commitments = [self.commitment(job, round_, member) for member in members]
        signatures = [
            workers[member].sign(self.hash_commitment(job, round_, commitment))
            for member, commitment in zip(members, commitments, strict=True)
        ]
        details = (job, round_, pack_members(members), commitments, b"".join(signatures))
        return self.send(by or self.relay, "Rounds", "commitUpdates", *details)

    def hash_commitment(self, job: int, round_: int, commitment: bytes) -> bytes:
        domain = self.deployment.rounds_domain
        return signing.hash_update_commitment(domain, job, round_, commitment)

    def reveal(
        self,
        job: int,
        round_: int,
        batch: int,
        members: Sequence[int],
        by: LocalAccount | None = None,
    ) -> Receipt:
        """Opens `members` of a commitment batch."""
        entries = unpack_entries(self._batches(job, round_)[batch].entries)
        opened, parts = 0, []
        for at, (member, commitment) in enumerate(entries):
            if member not in members:
                parts.append(commitment)
                continue
            opened |= 1 << at
            parts += [self.digest(job, round_, member), self.salt(job, round_, member)]
        everyone = pack_members(member for member, _ in entries)
        details = (job, round_, batch, everyone, opened, b"".join(parts))
        receipt = self.send(by or self.relay, "Rounds", "revealUpdates", *details)
        self.draw(job)
        return receipt

    def draw(self, job: int) -> None:
        """If it is due: the seed block is there, and the next one can look back on it."""
        round_, head = self.round(job), self.reader.fetch_head().number
        if round_.phase is Phase.REVEAL and not round_.committee and head >= round_.seed_block:
            header = self.reader.fetch_header(round_.seed_block)
            self.send(self.relay, "Rounds", "draw", job, header)

    def commit_ballots(
        self,
        job: int,
        round_: int,
        ballots: Mapping[int, Sequence[int]],
        workers: Mapping[int, Worker],
        by: LocalAccount | None = None,
    ) -> Receipt:
        """`ballots`: scores by seat."""
        committee = self.round(job).committee
        commitments = [
            compute_ballot_commitment(
                *self._slot(job, round_, committee[seat]),
                pack_scores(scores),
                self.salt(job, round_, committee[seat]),
            )
            for seat, scores in ballots.items()
        ]
        domain = self.deployment.rounds_domain
        signatures = [
            workers[committee[seat]].sign(
                signing.hash_ballot_commitment(domain, job, round_, commitment)
            )
            for seat, commitment in zip(ballots, commitments, strict=True)
        ]
        details = (job, round_, pack_seats(ballots), commitments, b"".join(signatures))
        return self.send(by or self.relay, "Rounds", "commitBallots", *details)

    def reveal_ballots(
        self,
        job: int,
        round_: int,
        ballots: Mapping[int, Sequence[int]],
        by: LocalAccount | None = None,
    ) -> Receipt:
        committee = self.round(job).committee
        packed = b"".join(pack_scores(scores) for scores in ballots.values())
        salts = b"".join(self.salt(job, round_, committee[seat]) for seat in ballots)
        details = (job, round_, pack_seats(ballots), packed, salts, self.seals(job, round_))
        return self.send(by or self.relay, "Rounds", "revealBallots", *details)

    def seals(self, job: int, round_: int) -> tuple[bytes, ...]:
        events = self.reader.fetch_events(self.deployment.deployed_block, self.now, job)
        return collect_round(events, job, round_).seals

    def attest(
        self,
        job: int,
        round_: int,
        model: bytes,
        seats: Sequence[int],
        workers: Mapping[int, Worker],
        by: LocalAccount | None = None,
    ) -> Receipt:
        committee = self.round(job).committee
        digest = signing.hash_model_attestation(self.deployment.rounds_domain, job, round_, model)
        signatures = b"".join(workers[committee[seat]].sign(digest) for seat in seats)
        details = (job, round_, model, pack_seats(seats), signatures)
        return self.send(by or self.relay, "Rounds", "attest", *details)

    def settlement(self, job: int, round_: int, reveals: int) -> bytes:
        """The settlement leaf of a finalised round, as its events imply it."""
        events = self.reader.fetch_events(self.deployment.deployed_block, self.now, job)
        of_round = [e for e in events if getattr(e, "round", None) == round_]
        finalised = next(e for e in of_round if isinstance(e, RoundFinalised))
        drawn = next(e for e in of_round if isinstance(e, CommitteeDrawn))
        attested = [e for e in of_round if isinstance(e, ModelAttested)]
        agreed = [e.seats for e in attested if e.model_digest == finalised.model_digest]
        seats = unpack_seats(b"".join(agreed))
        at = finalised.ref.timestamp
        return compute_settlement_leaf(drawn.members, seats, at, reveals)

    def finalise(self, job: int, round_: int, by: LocalAccount | None = None) -> Receipt:
        """From nothing but the chain's events."""
        tallied = next(e for e in self._events(job, round_) if isinstance(e, RoundTallied))
        details = (job, round_, self.records(job, round_), tallied.scores, tallied.shares)
        return self.send(by or self.relay, "Rounds", "finalise", *details)

    def records(self, job: int, round_: int) -> list[bytes]:
        reveals = [e for e in self._events(job, round_) if isinstance(e, UpdatesRevealed)]
        return [
            pack_entries([(m, self.digest(job, round_, m)) for m in opened_members(event)])
            for event in reveals
        ]

    def _slot(self, job: int, round_: int, member: int) -> tuple[int, Address, int, int, int]:
        return self.deployment.chain_id, self.deployment["Rounds"], job, round_, member

    def _batches(self, job: int, round_: int) -> list[UpdatesCommitted]:
        return [e for e in self._events(job, round_) if isinstance(e, UpdatesCommitted)]

    def _events(self, job: int, round_: int) -> list[object]:
        events = self.reader.fetch_events(self.deployment.deployed_block, self.now, job)
        return [event for event in events if getattr(event, "round", None) == round_]
