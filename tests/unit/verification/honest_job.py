"""A complete, honest job made of the protocol's own functions: events, chain facts and content.

Three rounds: one finalised, one failed, one finalised. The tests tamper with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
from eth_utils.address import to_checksum_address

from commonweal.adapters.content.store import ContentNotFound
from commonweal.adapters.content.unixfs import build_file
from commonweal.learning.aggregation import GlobalModel, ScoredUpdate, advance, encode_moments
from commonweal.learning.encoding import encode_update
from commonweal.learning.weights import Weights, encode_weights, initial_weights
from commonweal.protocol import events as ev
from commonweal.protocol.commitments import (
    SALT_BYTES,
    compute_ballot_commitment,
    compute_update_commitment,
    pack_entries,
    pack_members,
    pack_scores,
    pack_seats,
)
from commonweal.protocol.committee import compute_seed, compute_weight, draw_committee
from commonweal.protocol.manifests import (
    Manifest,
    ModelManifest,
    UpdateManifest,
    compute_digest,
    decode_manifest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.merkle import (
    compute_contributors,
    compute_settlement_leaf,
    compute_verdict_leaf,
    compute_verdict_root,
)
from commonweal.protocol.rewards import compute_quantum, pack_payments, split_round
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel
from commonweal.protocol.types import (
    ZERO_DIGEST,
    Address,
    Bps,
    Digest,
    FailureReason,
    Job,
    JobParameters,
    JobState,
    Member,
    Role,
    Verdict,
    Wei,
)
from commonweal.protocol.verdicts import tally
from commonweal.verification import Evidence

CHAIN_ID, JOB = 31337, 7
ROUNDS = Address(to_checksum_address("0x" + "aa" * 20))
REQUESTER = Address(to_checksum_address("0x" + "bb" * 20))
ESCROW = Wei(2 * 10**18)
_START = 1_700_000_000  # seconds
MEMBERS = 4
SPEC = JobSpec(
    name="tiny",
    model=LogisticModel(inputs=4, classes=3),
    data=DataSpec(features=(4,), classes=3),
)


class BlockContent:
    """Manifest blocks and files in two dictionaries, handed out unchecked: the tests alter them."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}
        self.files: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        cid = str(build_file(data, lambda _cid, _block: None))
        self.files[cid] = data
        return cid

    def put_manifest(self, manifest: Manifest) -> Digest:
        block = encode_manifest(manifest)
        self.blocks[compute_digest(block)] = block
        return compute_digest(block)

    def fetch(self, cid: str, *, max_bytes: int) -> bytes:
        if cid not in self.files:
            raise ContentNotFound(f"{cid} is nowhere", cid=cid)
        return self.files[cid]

    def fetch_manifest(self, digest: Digest) -> Manifest:
        if digest not in self.blocks:
            raise ContentNotFound(f"{manifest_cid(digest)} is nowhere")
        return decode_manifest(self.blocks[digest])


@dataclass
class HonestJob:
    content: BlockContent = field(default_factory=BlockContent)
    events: list[ev.ChainEvent] = field(default_factory=list)
    randaos: dict[int, bytes] = field(default_factory=dict)
    models: dict[int, Digest] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    earned: dict[int, int] = field(default_factory=dict)
    spent: int = 0
    last_score: int = 0  # what everybody gives the last member
    spec: JobSpec = SPEC

    def __post_init__(self) -> None:
        weights = initial_weights(self.spec.model, 0)
        cid = self.content.put(encode_weights(weights))
        self.parent = self.content.put_manifest(ModelManifest(weights=cid))
        self.model = GlobalModel(weights)
        self.parameters = _make_parameters(self.content.put_manifest(self.spec), self.parent)
        self.quantum = compute_quantum(ESCROW)
        created = (JOB, REQUESTER, self.parameters.spec_digest, ESCROW, self.quantum, 1)
        self.add(ev.JobCreated, *created, self.parameters)
        for member in range(MEMBERS):
            stake = Wei((member + 1) * 10**18)
            roles = Role.TRAINER | Role.VALIDATOR
            self.add(
                ev.MemberJoined, JOB, member, _provider(member), _provider(member), roles, stake
            )

    def add(self, kind: type, *values: object) -> None:
        at = len(self.events)
        reference = ev.EventRef(at, _word("block", at), _word("tx", at), 0, _START + at)
        self.events.append(kind(reference, *values))

    def run_round(self, number: int, *, fails: bool = False) -> None:
        self.add(ev.RoundOpened, JOB, number, self.parent, 0)
        updates = {member: self._make_update(number, member) for member in range(MEMBERS)}
        self._commit_and_reveal(number, updates)
        committee = self._draw(number)
        if fails:
            self.add(ev.RoundFailed, JOB, number, FailureReason.TOO_FEW_BALLOTS)
            return
        ballots = self._vote(number, committee)
        members = tuple(range(MEMBERS))
        result = tally(members, committee, ballots)
        scores = pack_scores(result.scores), pack_scores(result.shares)
        self.add(ev.RoundTallied, JOB, number, *scores)
        self._finalise(number, {m: d for m, (d, _) in updates.items()}, committee, result)

    def _make_update(self, number: int, member: int) -> tuple[Digest, Weights]:
        generator = np.random.default_rng([number, member])
        delta = {
            name: generator.standard_normal(tensor.shape).astype(np.float32)
            for name, tensor in self.model.weights.items()
        }
        manifest = UpdateManifest(
            payload=self.content.put(encode_update(delta, self.spec.encoding)),
            encoding=self.spec.encoding.kind,
            base=manifest_cid(self.parent),
            job=JOB,
            round=number,
            trainer=_provider(member),
            samples=10,
            metrics={"loss": 1 / number, "accuracy": 1 - 0.5**number},
        )
        return self.content.put_manifest(manifest), delta

    def _commit_and_reveal(self, number: int, updates: dict[int, tuple[Digest, Weights]]) -> None:
        self.deltas = {member: delta for member, (_, delta) in updates.items()}
        entries, openings = [], []
        for member, (digest, _) in updates.items():
            salt = _word("salt", number, member)[:SALT_BYTES]
            slot = (CHAIN_ID, ROUNDS, JOB, number, member)
            entries.append((member, compute_update_commitment(*slot, digest, salt)))
            openings += [bytes(digest), salt]
        self.add(ev.UpdatesCommitted, JOB, number, 0, pack_entries(entries))
        members, opened = pack_members(updates), 2 ** len(updates) - 1
        self.add(ev.UpdatesRevealed, JOB, number, 0, members, opened, b"".join(openings))

    def _draw(self, number: int) -> tuple[int, ...]:
        block = 1000 + number
        self.randaos[block] = _word("seed", number)
        self.add(ev.SeedBlockFixed, JOB, number, block)
        seed = compute_seed(self.randaos[block], ROUNDS, JOB, number)
        weights = [(m, compute_weight(Wei((m + 1) * 10**18))) for m in range(MEMBERS)]
        committee = draw_committee(weights, self.parameters.committee_size, seed)
        self.add(ev.CommitteeDrawn, JOB, number, seed, committee)
        return committee

    def _vote(self, number: int, committee: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
        """Everybody gives the last member `last_score`: it is useless."""
        ballots = {
            seat: (
                *(1000 + 10 * seat + member for member in range(MEMBERS - 1)),
                self.last_score,
            )
            for seat in range(len(committee))
        }
        salts = {seat: _word("ballot", number, seat)[:SALT_BYTES] for seat in ballots}
        commitments = tuple(
            compute_ballot_commitment(
                CHAIN_ID, ROUNDS, JOB, number, committee[seat], pack_scores(scores), salts[seat]
            )
            for seat, scores in ballots.items()
        )
        seats = pack_seats(ballots)
        self.add(ev.BallotsCommitted, JOB, number, seats, commitments)
        packed = b"".join(pack_scores(scores) for scores in ballots.values())
        self.add(ev.BallotsRevealed, JOB, number, seats, packed, b"".join(salts.values()))
        return ballots

    def _finalise(self, number, digests, committee, result) -> None:  # type: ignore[no-untyped-def]
        scores = dict(enumerate(result.scores))
        leaves = [compute_verdict_leaf(m, digests[m], score) for m, score in scores.items()]
        updates = [
            ScoredUpdate(_provider(m), score, self.deltas[m])
            for m, score in scores.items()
            if Verdict.of(score) is Verdict.VERIFIED
        ]
        contributors = compute_contributors(
            [
                leaf
                for leaf, score in zip(leaves, result.scores, strict=True)
                if Verdict.of(score) is Verdict.VERIFIED
            ]
        )
        self.model = advance(self.spec.aggregation, self.model, updates, seed=contributors)
        moments = self.content.put(encode_moments(self.model)) if self.model.moments else None
        manifest = ModelManifest(
            weights=self.content.put(encode_weights(self.model.weights)),
            parent=manifest_cid(self.parent),
            job=JOB,
            round=number,
            contributors=contributors,
            optimiser=moments,
        )
        self.parent = self.content.put_manifest(manifest)
        self.add(ev.ModelAttested, JOB, number, self.parent, pack_seats(range(len(committee))))
        self._settle(number, committee, result)
        root = compute_verdict_root(leaves, self._settlement(committee))
        self.add(ev.ModelRecorded, JOB, number, self.parent, root)
        self.add(ev.RoundFinalised, JOB, number, self.parent, root)
        self.models[number], self.roots[number] = self.parent, root

    def _settlement(self, committee: tuple[int, ...]) -> bytes:
        finalised_at = _START + len(self.events) + 1  # the event after the next
        seats = range(len(committee))
        return compute_settlement_leaf(committee, seats, finalised_at, MEMBERS)

    def _settle(self, number, committee, result) -> None:  # type: ignore[no-untyped-def]
        split = split_round(self.parameters, self.quantum, tuple(range(MEMBERS)), result, committee)
        payments = pack_payments(split.payments)
        self.add(ev.RoundSettled, JOB, number, payments, REQUESTER, split.fee, split.spent)
        for member, units in split.payments:
            self.earned[member] = self.earned.get(member, 0) + units * self.quantum
        self.spent += split.spent

    def close(self) -> None:
        self.add(ev.JobStateChanged, JOB, JobState.COMPLETED)
        self.add(ev.RewardClaimed, JOB, _provider(0), Wei(self.earned[0]))
        self.add(ev.EscrowRefunded, JOB, REQUESTER, Wei(ESCROW - self.spent))

    def evidence(self) -> Evidence:
        state = Job(
            job=JOB,
            requester=REQUESTER,
            state=JobState.COMPLETED,
            parameters_version=1,
            finalised_rounds=2,
            failed_rounds=1,
            members=MEMBERS,
            active_trainers=MEMBERS,
            active_validators=MEMBERS,
            escrow=Wei(0),
            quantum=self.quantum,
            parameters=self.parameters,
        )
        members = tuple(
            Member(
                member=member,
                provider=_provider(member),
                operator=_provider(member),
                roles=Role.TRAINER | Role.VALIDATOR,
                active=True,
                stake=Wei((member + 1) * 10**18),
                credit=Wei(self.earned.get(member, 0) if member else 0),
            )
            for member in range(MEMBERS)
        )
        return Evidence(
            chain_id=CHAIN_ID,
            rounds_contract=ROUNDS,
            block=len(self.events),
            events=tuple(self.events),
            randaos=self.randaos,
            job=state,
            members=members,
            models=self.models,
            verdict_roots=self.roots,
            overturned=frozenset(),
            fee_grace=60,
        )


def make_honest_job(last_score: int = 0, spec: JobSpec = SPEC) -> HonestJob:
    job = HonestJob(last_score=last_score, spec=spec)
    job.run_round(1)
    job.run_round(2, fails=True)
    job.run_round(3)
    job.close()
    return job


def alter(evidence: Evidence, kind: type, round_: int | None = None, **changes: object) -> Evidence:
    """The evidence with the first event of that kind (and round) changed."""
    events = list(evidence.events)
    at = next(
        i
        for i, event in enumerate(events)
        if isinstance(event, kind) and round_ in (None, getattr(event, "round", None))
    )
    events[at] = replace(events[at], **changes)
    return replace(evidence, events=tuple(events))


def flip(data: bytes, at: int) -> bytes:
    """One flipped bit of one byte."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _provider(member: int) -> Address:
    return Address(to_checksum_address(bytes([member + 1]) * 20))


def _word(*parts: object) -> bytes:
    return sha256(repr(parts).encode()).digest()


def _make_parameters(spec: Digest, model: Digest) -> JobParameters:
    return JobParameters(
        spec_digest=spec,
        initial_model=model,
        rounds=2,
        price_per_round=Wei(10**18),
        validator_share_bps=Bps(2000),
        coordinator_share_bps=Bps(500),
        coordinator=REQUESTER,
        min_trainers=2,
        max_trainers=MEMBERS,
        committee_size=3,
        min_stake=Wei(10**18),
        commit_window=60,
        reveal_window=60,
        ballot_commit_window=60,
        ballot_reveal_window=60,
        attest_window=60,
        recruit_until=0,
        max_failed_rounds=3,
        allowlist_root=ZERO_DIGEST,
    )
