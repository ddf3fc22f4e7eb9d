"""Job specs and global models: found by digest, checked against what the chain names, made anew.

The next model is computed here exactly as everybody else computes it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import ContentStore
from commonweal.learning.aggregation import (
    GlobalModel,
    ScoredUpdate,
    advance,
    decode_moments,
    encode_moments,
    moment_names,
    moments_size,
)
from commonweal.learning.weights import (
    InvalidWeights,
    Weights,
    decode_weights,
    encode_weights,
    encoded_size,
    shapes_of,
)
from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.manifests import (
    MAX_MANIFEST_BYTES,
    InvalidManifest,
    ModelManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.merkle import compute_contributors, compute_verdict_leaf
from commonweal.protocol.specs import JobSpec, ModelSpec, ServerOptimiserSpec
from commonweal.protocol.types import Address, Digest, Verdict
from node_agent.errors import JobNotServed, ModelUnusable

_KEPT = 3
_MomentsKey = tuple[Digest, ModelSpec, ServerOptimiserSpec]


@dataclass(frozen=True, slots=True)
class VerifiedUpdate:
    member: int
    trainer: Address
    digest: Digest
    score: int


class ModelLibrary:
    def __init__(self, store: ContentStore, fetcher: ContentFetcher) -> None:
        self._store = store
        self._fetcher = fetcher
        self._specs: dict[Digest, JobSpec] = {}
        self._weights: OrderedDict[tuple[Digest, ModelSpec], Weights] = OrderedDict()
        self._moments: tuple[_MomentsKey, Weights] | None = None  # of the newest model

    def fetch_spec(self, digest: Digest) -> JobSpec:
        """Raises ContentNotFound; JobNotServed for what is no job spec."""
        if digest not in self._specs:
            try:
                manifest = self._fetcher.fetch_manifest(digest)
            except InvalidManifest as error:
                raise JobNotServed(error.message, **error.details) from error
            if not isinstance(manifest, JobSpec):
                raise JobNotServed("the job's digest is not a job spec", digest=digest.hex())
            self._specs[digest] = manifest
        return self._specs[digest]

    def require_initial(self, digest: Digest) -> None:
        """A job starts from a model without a past: its moments could not be what they say.

        Raises ContentNotFound; JobNotServed for what is no initial model.
        """
        try:
            manifest = self._fetcher.fetch_manifest(digest)
        except InvalidManifest as error:
            raise JobNotServed(error.message, **error.details) from error
        if not isinstance(manifest, ModelManifest) or manifest.parent is not None:
            message = "the job does not start from an initial model"
            raise JobNotServed(message, digest=digest.hex())

    def fetch_weights(self, digest: Digest, spec: JobSpec) -> Weights:
        """Read-only. Raises ContentNotFound, ModelUnusable and the content store's errors."""
        key = (digest, spec.model)
        if key in self._weights:
            self._weights.move_to_end(key)
            return self._weights[key]
        shapes = shapes_of(spec.model)
        most = encoded_size(shapes, "F32") + moments_size(spec) + MAX_MANIFEST_BYTES
        self._fetcher.fetch_held(manifest_cid(digest), max_bytes=most)
        manifest = self._fetch_manifest(digest)
        data = self._fetcher.fetch(manifest.weights, max_bytes=encoded_size(shapes, "F32"))
        try:
            return self._keep(key, decode_weights(data, shapes))
        except InvalidWeights as error:
            raise ModelUnusable(error.message, digest=digest.hex(), **error.details) from error

    def fetch_model(self, digest: Digest, spec: JobSpec) -> GlobalModel:
        """With the moments of the server optimiser, from which the next model is made.

        Raises as `fetch_weights` does.
        """
        weights = self.fetch_weights(digest, spec)
        key, known = _moments_key(digest, spec), self._moments
        if known is None or known[0] != key:
            self._moments = known = (key, self._fetch_moments(digest, spec))
        return GlobalModel(weights, known[1])

    def _fetch_moments(self, digest: Digest, spec: JobSpec) -> Weights:
        """None in the manifest: zeros, so the first round's model starts without."""
        manifest = self._fetch_manifest(digest)
        if manifest.optimiser is None:
            return {}
        if not moment_names(spec.aggregation.server_optimiser):
            raise ModelUnusable("moments in a job that keeps none", digest=digest.hex())
        data = self._fetcher.fetch(manifest.optimiser, max_bytes=moments_size(spec))
        try:
            return decode_moments(data, spec)
        except InvalidWeights as error:
            raise ModelUnusable(error.message, digest=digest.hex(), **error.details) from error

    def _fetch_manifest(self, digest: Digest) -> ModelManifest:
        manifest = self._fetcher.fetch_manifest(digest)
        if not isinstance(manifest, ModelManifest):
            raise ModelUnusable("the digest is not a model's", digest=digest.hex())
        return manifest

    def store_model(
        self,
        spec: JobSpec,
        model: GlobalModel,
        parent: Digest,
        job: int,
        round_: int,
        verified: Sequence[VerifiedUpdate],
    ) -> Digest:
        """The model after a round, with its manifest. Stored and pinned before it returns."""
        moments = self._store.put(encode_moments(model)) if model.moments else None
        manifest = ModelManifest(
            weights=self._store.put(encode_weights(model.weights)),
            parent=manifest_cid(parent),
            job=job,
            round=round_,
            contributors=compute_verified_root(verified),
            optimiser=moments,
        )
        block = encode_manifest(manifest)
        self._store.pin(self._store.put_block(block))
        digest = compute_digest(block)
        self._keep((digest, spec.model), model.weights)
        self._moments = (_moments_key(digest, spec), model.moments)
        return digest

    def _keep(self, key: tuple[Digest, ModelSpec], weights: Weights) -> Weights:
        self._weights[key] = weights
        while len(self._weights) > _KEPT:
            self._weights.popitem(last=False)
        return weights


def _moments_key(digest: Digest, spec: JobSpec) -> _MomentsKey:
    """Of another shape or another optimiser, the same file holds other moments, or none."""
    return digest, spec.model, spec.aggregation.server_optimiser


def verified_updates(
    digests: Mapping[int, Digest], scores: bytes, trainers: Mapping[int, Address]
) -> tuple[VerifiedUpdate, ...]:
    """The tallied scores are in the order of the revealed members, ascending."""
    return tuple(
        VerifiedUpdate(member, trainers[member], digests[member], score)
        for member, score in zip(sorted(digests), unpack_scores(scores), strict=True)
        if Verdict.of(score) is Verdict.VERIFIED
    )


def compute_next_model(
    spec: JobSpec,
    parent: GlobalModel,
    verified: Sequence[VerifiedUpdate],
    deltas: Mapping[int, Weights],
) -> GlobalModel:
    """`deltas` by member. Bit-exact, see `commonweal.learning.aggregation`."""
    scored = [ScoredUpdate(item.trainer, item.score, deltas[item.member]) for item in verified]
    seed = compute_verified_root(sorted(verified, key=lambda item: item.member))
    return advance(spec.aggregation, parent, scored, seed=seed)


def compute_verified_root(verified: Sequence[VerifiedUpdate]) -> bytes:
    """What the manifest names as contributors; `verified` with members ascending."""
    return compute_contributors(
        [compute_verdict_leaf(item.member, item.digest, item.score) for item in verified]
    )
