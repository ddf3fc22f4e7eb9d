"""A round's links that need content: updates, and the model recomputed from them.

Numpy only, no torch: the bytes must come out the same on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from commonweal.adapters.content.unixfs import file_cid
from commonweal.errors import CommonwealError
from commonweal.learning.aggregation import (
    GlobalModel,
    ScoredUpdate,
    advance,
    encode_moments,
    moments_size,
)
from commonweal.learning.encoding import decode_update, update_size
from commonweal.learning.weights import (
    Weights,
    decode_weights,
    encode_weights,
    encoded_size,
    shapes_of,
)
from commonweal.protocol.manifests import (
    Manifest,
    ModelManifest,
    UpdateManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.merkle import compute_contributors, compute_verdict_leaf
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import ZERO_DIGEST, Address, Digest, Verdict
from commonweal.verification.report import Report
from commonweal.verification.rounds import Outcome


class Content(Protocol):
    """Where blocks come from; whatever it hands out is checked against its hash again here."""

    def fetch(self, cid: str, *, max_bytes: int) -> bytes: ...

    def fetch_manifest(self, digest: Digest) -> Manifest: ...


@dataclass(frozen=True, slots=True)
class ParentModel:
    digest: Digest
    model: GlobalModel


@dataclass(slots=True)
class ContentCheck:
    report: Report
    content: Content
    job: int
    providers: Mapping[int, Address]
    spec: JobSpec

    def check_initial_model(self, digest: Digest) -> ParentModel | None:
        manifest = self._fetch_model(digest, "initial model")
        if manifest is None:
            return None
        expected = (None, 0, 0, bytes(ZERO_DIGEST))
        found = (manifest.parent, manifest.job, manifest.round, bytes(manifest.contributors))
        self.report.expect("model-fields", "initial model", expected, found)
        weights = self._fetch_weights(manifest, "initial model")
        return ParentModel(digest, GlobalModel(weights)) if weights is not None else None

    def check_round(
        self, round_: int, outcome: Outcome, parent: ParentModel, model: Digest
    ) -> ParentModel | None:
        """Every update's content, then the round's model; None when nothing can follow from it."""
        updates = self._check_updates(round_, outcome, parent)
        subject = f"round {round_}"
        manifest = self._fetch_model(model, subject)
        if manifest is not None:
            self._check_model_fields(manifest, round_, outcome, parent)
        verified = sum(Verdict.of(score) is Verdict.VERIFIED for score in outcome.scores.values())
        if len(updates) != verified:
            self.report.require("model-recomputed", subject, False, "a verified update is missing")
            return None
        return self._recompute(subject, round_, updates, parent, model, outcome)

    def _check_updates(
        self, round_: int, outcome: Outcome, parent: ParentModel
    ) -> list[ScoredUpdate]:
        updates = []
        self._leave_out_unread(round_, outcome)
        for member, score in outcome.scores.items():
            verdict = Verdict.of(score)
            if verdict is Verdict.VERIFIED:
                delta = self._check_update(round_, member, outcome.digests[member], parent)
                if delta is not None:
                    updates.append(ScoredUpdate(self.providers[member], score, delta))
            elif verdict is Verdict.REJECTED:
                self._check_rejected(round_, member, outcome.digests[member], parent)
        return updates

    def _leave_out_unread(self, round_: int, outcome: Outcome) -> None:
        """Judged invalid or unavailable: neither money nor model has anything of their content."""
        for verdict in (Verdict.INVALID, Verdict.UNAVAILABLE):
            members = [m for m, score in outcome.scores.items() if Verdict.of(score) is verdict]
            if members:
                name, whose = verdict.name.lower(), ", ".join(map(str, members))
                note = f"updates judged {name}, not fetched (round {round_}, member {whose})"
                self.report.left_out.append(note)

    def _check_update(
        self, round_: int, member: int, digest: Digest, parent: ParentModel
    ) -> Weights | None:
        subject = f"round {round_}, member {member}"
        try:
            manifest = self.content.fetch_manifest(digest)
            self._expect_block(subject, "update-manifest", digest, manifest)
            if not self._check_update_fields(subject, round_, member, manifest, parent):
                return None
            assert isinstance(manifest, UpdateManifest)
            payload = self.content.fetch(manifest.payload, max_bytes=update_size(self.spec))
            found = file_cid(payload)
            if not self.report.expect("update-payload", subject, manifest.payload, found):
                return None
            delta = decode_update(payload, self.spec)
        except CommonwealError as error:
            self.report.require("update-content", subject, False, _describe(error))
            return None
        self.report.require("update-content", subject, True, "")
        return delta

    def _check_rejected(
        self, round_: int, member: int, digest: Digest, parent: ParentModel
    ) -> None:
        """Money and model do not depend on it, and its trainer may well have withdrawn it."""
        try:
            self.content.fetch_manifest(digest)
        except CommonwealError as error:
            subject = f"round {round_}, member {member}"
            self.report.left_out.append(f"rejected update ({subject}): {_describe(error)}")
            return
        self._check_update(round_, member, digest, parent)

    def _check_update_fields(
        self, subject: str, round_: int, member: int, manifest: Manifest, parent: ParentModel
    ) -> bool:
        if not isinstance(manifest, UpdateManifest):
            return self.report.require("update-fields", subject, False, "not an update manifest")
        base, kind = manifest_cid(parent.digest), self.spec.encoding.kind
        expected = (self.job, round_, self.providers.get(member), base, kind)
        found = (manifest.job, manifest.round, manifest.trainer, manifest.base, manifest.encoding)
        return self.report.expect("update-fields", subject, expected, found)

    def _expect_block(self, subject: str, name: str, digest: Digest, manifest: Manifest) -> bool:
        found = bytes(compute_digest(encode_manifest(manifest)))
        return self.report.expect(name, subject, bytes(digest), found)

    def _fetch_model(self, digest: Digest, subject: str) -> ModelManifest | None:
        try:
            manifest = self.content.fetch_manifest(digest)
        except CommonwealError as error:
            self.report.require("model-manifest", subject, False, _describe(error))
            return None
        if not self._expect_block(subject, "model-manifest", digest, manifest):
            return None
        if not isinstance(manifest, ModelManifest):
            self.report.require("model-fields", subject, False, "not a model manifest")
            return None
        return manifest

    def _fetch_weights(self, manifest: ModelManifest, subject: str) -> Weights | None:
        shapes = shapes_of(self.spec.model)
        try:
            data = self.content.fetch(manifest.weights, max_bytes=encoded_size(shapes, "F32"))
            self.report.expect("model-weights", subject, manifest.weights, file_cid(data))
            return decode_weights(data, shapes)
        except CommonwealError as error:
            self.report.require("model-weights", subject, False, _describe(error))
            return None

    def _check_moments(self, manifest: ModelManifest, subject: str) -> None:
        """That they are to be had; whether they are right shows when the model is recomputed."""
        if manifest.optimiser is None:
            return
        try:
            data = self.content.fetch(manifest.optimiser, max_bytes=moments_size(self.spec))
        except CommonwealError as error:
            self.report.require("model-optimiser", subject, False, _describe(error))
            return
        self.report.expect("model-optimiser", subject, manifest.optimiser, file_cid(data))

    def _check_model_fields(
        self, manifest: ModelManifest, round_: int, outcome: Outcome, parent: ParentModel
    ) -> None:
        expected = (manifest_cid(parent.digest), self.job, round_, _contributors(outcome))
        found = (manifest.parent, manifest.job, manifest.round, bytes(manifest.contributors))
        self.report.expect("model-fields", f"round {round_}", expected, found)
        self._fetch_weights(manifest, f"round {round_}")
        self._check_moments(manifest, f"round {round_}")

    def _recompute(
        self,
        subject: str,
        round_: int,
        updates: list[ScoredUpdate],
        parent: ParentModel,
        model: Digest,
        outcome: Outcome,
    ) -> ParentModel | None:
        try:
            contributors = _contributors(outcome)
            after = advance(self.spec.aggregation, parent.model, updates, seed=contributors)
        except CommonwealError as error:
            self.report.require("model-recomputed", subject, False, _describe(error))
            return None
        manifest = ModelManifest(
            weights=file_cid(encode_weights(after.weights)),
            parent=manifest_cid(parent.digest),
            job=self.job,
            round=round_,
            contributors=contributors,
            optimiser=file_cid(encode_moments(after)) if after.moments else None,
        )
        digest = compute_digest(encode_manifest(manifest))
        self.report.models[round_] = manifest_cid(digest)
        same = self.report.expect("model-recomputed", subject, bytes(digest), bytes(model))
        return ParentModel(digest, after) if same else None


def _contributors(outcome: Outcome) -> bytes:
    return compute_contributors(
        [
            compute_verdict_leaf(member, outcome.digests[member], score)
            for member, score in outcome.scores.items()
            if Verdict.of(score) is Verdict.VERIFIED
        ]
    )


def _describe(error: CommonwealError) -> str:
    return f"{error.code}: {error.message}"
