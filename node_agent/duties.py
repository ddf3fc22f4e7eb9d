"""Doing what was decided: each duty ends with its message journalled first and sent second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

import structlog

from commonweal.adapters.content.store import ContentNotFound, ContentStore
from commonweal.learning.memory import InvalidMemory
from commonweal.learning.scoring import ScoringMemory, recall_verdicts
from commonweal.learning.weights import Weights, decode_weights, encode_weights, shapes_of
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.manifests import manifest_cid
from commonweal.protocol.messages import JoinMessage, Message, ModelAttestationMessage
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Digest
from commonweal.worktime import timed
from node_agent.chainlog import ChainLog
from node_agent.decisions import (
    Action,
    ComputeAndAttestModel,
    Join,
    RevealBallot,
    RevealUpdate,
    ScoreAndCommitBallot,
    SendSigned,
    TrainAndCommit,
    Wait,
)
from node_agent.errors import JobNotServed
from node_agent.feedback import choose_base
from node_agent.journal import Journal, Residual, Slot, SlotEntry
from node_agent.localdata import LocalDataLibrary
from node_agent.lookback import look_back
from node_agent.models import (
    ModelLibrary,
    VerifiedUpdate,
    compute_next_model,
    verified_updates,
)
from node_agent.senders import MessageSender, Sending
from node_agent.signer import Signer
from node_agent.sources import Publisher
from node_agent.trainer import Trainer, derive_seed, store_update
from node_agent.validator import RevealedRound, UpdateReader, compute_ballot
from node_agent.view import JobView, NodeView

log = structlog.get_logger(__name__)
_JOIN_SECONDS = 600
_FETCH_SHARE = 0.5  # of the time left in a phase; the rest is for scoring and sending
_LOOK_BACK_SHARE = 0.1
_ENDLESS = 3600.0
_MAX_RESIDUAL_BYTES = 900_000_000  # SQLite holds no value of more than a billion


@dataclass(slots=True)
class Duties:
    journal: Journal
    store: ContentStore
    signer: Signer
    sender: MessageSender
    publisher: Publisher
    chain_log: ChainLog
    models: ModelLibrary
    data: LocalDataLibrary
    updates: UpdateReader
    trainer: Trainer
    allowlist_proofs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _joins: dict[Join, JoinMessage] = field(default_factory=dict)
    _published: set[Digest] = field(default_factory=set)

    def perform(self, action: Action, view: NodeView, now: int) -> None:
        """`now`: chain time, seconds, as the decision had it."""
        left = float(getattr(action, "ends_at", now + _ENDLESS)) - now
        match action:
            case Wait():
                return
            case Join():
                self._send(self._join(action, _find(view, action.job), now), view, left)
            case TrainAndCommit():
                self._send(self._train(action, _find(view, action.job), view).message, view, left)
            case ScoreAndCommitBallot():
                job = _find(view, action.job)
                self._send(self._score(action, job, view, left).message, view, left)
            case ComputeAndAttestModel():
                job = _find(view, action.job)
                self._attest(action, job, view, left)
            case SendSigned():
                self._resend(action, view, left)
            case RevealUpdate():
                # Content first: once the digest is public, everybody asks for it.
                self._publish(Digest(bytes.fromhex(action.message.digest[2:])), is_new=True)
                self._send(action.message, view, left)
            case RevealBallot():
                self._send(action.message, view, left)
            case _:
                assert_never(action)

    def _join(self, action: Join, job: JobView, now: int) -> JoinMessage:
        spec = self.models.fetch_spec(job.job.parameters.spec_digest)
        self.data.require_memory(spec, job.job.parameters.max_trainers)
        self.data.fetch(spec)
        self.models.require_initial(job.job.parameters.initial_model)
        signed = self._joins.get(action)
        if signed is None or signed.deadline < now + _JOIN_SECONDS // 10:
            proof = self._find_proof(job)
            signed = self.signer.join_job(action, now + _JOIN_SECONDS, proof)
            self._joins = {action: signed}
            log.info("joining job", job=action.job, roles=int(action.roles), stake=action.stake)
        return signed

    def _find_proof(self, job: JobView) -> tuple[str, ...]:
        root = job.job.parameters.allowlist_root
        if not any(root):
            return ()
        proof = self.allowlist_proofs.get("0x" + root.hex())
        if proof is None:
            raise JobNotServed(
                "the job is for a list of providers and no proof is configured",
                job=job.job.job,
                allowlist_root="0x" + root.hex(),
            )
        return proof

    def _train(self, action: TrainAndCommit, job: JobView, view: NodeView) -> SlotEntry:
        spec, parent = self._fetch_model(job)
        before = choose_base(self.journal, self.chain_log, job, view.block.number)
        seed = derive_seed(spec, "train", action.job, action.round, action.member)
        began = time.monotonic()
        slot = {"job": action.job, "round": action.round}
        with timed(log, "training", **slot):
            data = self.data.fetch(spec).to_train_on(spec.data)
            result = self.trainer.train(spec, parent, data, seed=seed)
        with timed(log, "content", **slot):
            update = store_update(
                self.store,
                spec,
                parent,
                result,
                self._read_residual(spec, action.job, before),
                base=job.round.parent_model,
                job=action.job,
                round_=action.round,
                trainer=job.trainers[action.member],
            )
        entry = self.signer.commit_update(action.job, action.round, action.member, update.digest)
        log.info(
            "update trained",
            job=action.job,
            round=action.round,
            samples=result.samples,
            loss=round(result.loss, 4),
            accuracy=round(result.accuracy, 4),
            seconds=round(time.monotonic() - began, 2),
        )
        return self.journal.record(entry, residual=_pack_residual(update.residual, before))

    def _read_residual(self, spec: JobSpec, job: int, round_: int | None) -> Weights | None:
        data = None if round_ is None else self.journal.residual(job, round_)
        return None if data is None else decode_weights(data, shapes_of(spec.model))

    def _score(
        self, action: ScoreAndCommitBallot, job: JobView, view: NodeView, left: float
    ) -> SlotEntry:
        spec, parent = self._fetch_model(job)
        record = self._fetch_record(job, view)
        revealed = _revealed_round(job, record)
        slot = {"job": action.job, "round": action.round}
        with timed(log, "content", **slot):
            memory = self._remember(spec, job, view, left)
            until = time.monotonic() + left * _FETCH_SHARE
            candidates = self.updates.read(spec, revealed, until=until)
        with timed(log, "scoring", **slot):
            scores, memory_after = compute_ballot(
                spec,
                parent,
                candidates,
                self.data.fetch(spec),
                memory,
                job=action.job,
                round_=action.round,
                member=action.member,
            )
        entry = self.signer.commit_ballot(
            action.job, action.round, action.member, action.seat, scores
        )
        log.info("ballot made", job=action.job, round=action.round, seat=action.seat)
        return self.journal.record(entry, memory_after)

    def _remember(self, spec: JobSpec, job: JobView, view: NodeView, left: float) -> ScoringMemory:
        its = job.round
        memory = _read_memory(self.journal.memory_before(its.job, its.round))
        rejections = self.chain_log.rejections(its.job, its.round, view.block.number)
        memory = recall_verdicts(memory, rejections)
        before = self.chain_log.record(its.job, its.round - 1, view.block.number)
        until = time.monotonic() + left * _LOOK_BACK_SHARE
        return look_back(self.models, self.updates, spec, memory, before, job.trainers, until=until)

    def _attest(
        self, action: ComputeAndAttestModel, job: JobView, view: NodeView, left: float
    ) -> None:
        spec, _ = self._fetch_model(job)
        record = self._fetch_record(job, view)
        if not record.scores:
            raise ContentNotFound("the tally is not in the node's events yet", job=action.job)
        verified = verified_updates(record.digests, record.scores, job.trainers)
        slot = {"job": action.job, "round": action.round}
        with timed(log, "content", **slot):
            parent = self.models.fetch_model(job.round.parent_model, spec)
            deltas = self._fetch_deltas(spec, job, record, verified, left)
        with timed(log, "scoring", **slot):
            model = compute_next_model(spec, parent, verified, deltas)
        with timed(log, "content", **slot):
            digest = self.models.store_model(
                spec, model, job.round.parent_model, action.job, action.round, verified
            )
        entry = self.signer.attest_model(action.job, action.round, action.seat, digest)
        log.info("model computed", job=action.job, round=action.round, model=manifest_cid(digest))
        self._resend(SendSigned(self.journal.record(entry).message, action.ends_at), view, left)

    def _fetch_deltas(
        self,
        spec: JobSpec,
        job: JobView,
        record: RoundRecord,
        verified: tuple[VerifiedUpdate, ...],
        left: float,
    ) -> dict[int, Weights]:
        wanted = {item.member: item.digest for item in verified}
        revealed = _revealed_round(job, record, wanted)
        until = time.monotonic() + left * _FETCH_SHARE
        found = self.updates.read(spec, revealed, until=until)
        missing = [member for member, candidate in found.items() if candidate.delta is None]
        if missing:
            raise ContentNotFound("verified updates are not to be had", members=missing)
        return {member: c.delta for member, c in found.items() if c.delta is not None}

    def _resend(self, action: SendSigned, view: NodeView, left: float) -> None:
        message = action.message
        entry = self.journal.entry(message.job, message.round, Slot.ATTESTATION)
        if not isinstance(message, ModelAttestationMessage) or entry is None:
            self._send(message, view, left)
            return
        # The next round's trainers need the model as soon as it is agreed. The first seat brings
        # it; the others attest meanwhile, and then bring what is lacking.
        model = Digest(entry.content)
        if message.seat == 0:
            self._publish(model)
        try:
            self._send(message, view, left)
        finally:
            self._publish(model)

    def _publish(self, digest: Digest, *, is_new: bool = False) -> None:
        if digest not in self._published:
            with timed(log, "content"):
                self.publisher.publish(manifest_cid(digest), is_new=is_new)
            self._published.add(digest)

    def _send(self, message: Message, view: NodeView, left: float) -> None:
        with timed(log, "chain", kind=message.kind):
            self.sender.submit(Sending(message, view.block.number, left))

    def _fetch_model(self, job: JobView) -> tuple[JobSpec, Weights]:
        with timed(log, "content", job=job.job.job, round=job.round.round):
            spec = self.models.fetch_spec(job.job.parameters.spec_digest)
            if job.round.parent_model == job.job.parameters.initial_model:
                self.models.require_initial(job.round.parent_model)
            return spec, self.models.fetch_weights(job.round.parent_model, spec)

    def _fetch_record(self, job: JobView, view: NodeView) -> RoundRecord:
        with timed(log, "chain", job=job.job.job, round=job.round.round):
            record = self.chain_log.record(job.round.job, job.round.round, view.block.number)
        if record.digests.keys() != job.round.revealed:
            raise ContentNotFound(
                "the reveals are not in the node's events yet",
                have=len(record.digests),
                need=len(job.round.revealed),
            )
        return record


def _read_memory(data: bytes | None) -> ScoringMemory:
    """What cannot be read, damaged or an older version's, is as good as none."""
    try:
        return ScoringMemory() if data is None else ScoringMemory.from_bytes(data)
    except InvalidMemory as error:
        log.warning("scoring memory not read", code=error.code, reason=error.message)
        return ScoringMemory()


def _pack_residual(residual: Weights | None, base: int | None) -> Residual | None:
    data = None if residual is None else encode_weights(residual)
    if data is not None and len(data) > _MAX_RESIDUAL_BYTES:
        log.warning("residual not kept", bytes=len(data), limit=_MAX_RESIDUAL_BYTES)
        return None
    return None if data is None else Residual(data, base)


def _revealed_round(
    job: JobView, record: RoundRecord, digests: Mapping[int, Digest] | None = None
) -> RevealedRound:
    return RevealedRound(
        job=job.round.job,
        round=job.round.round,
        base=job.round.parent_model,
        digests=record.digests if digests is None else digests,
        trainers=job.trainers,
    )


def _find(view: NodeView, job: int) -> JobView:
    return next(found for found in view.jobs if found.job.job == job)
