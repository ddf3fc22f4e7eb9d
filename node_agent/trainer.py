"""Training one update, and keeping it at home until it is revealed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Protocol

from commonweal.adapters.content.store import ContentStore
from commonweal.learning.data import Dataset
from commonweal.learning.encoding import compute_delta, encode_with_feedback
from commonweal.learning.training import TrainingProgress, TrainingResult, train
from commonweal.learning.weights import Weights
from commonweal.protocol.manifests import (
    UpdateManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Address, Digest


class Trainer(Protocol):
    def train(
        self, spec: JobSpec, parent: Weights, data: Dataset, *, seed: int
    ) -> TrainingResult: ...


class LocalTrainer:
    """What an honest node does: the spec's training on its own data."""

    def __init__(self, on_progress: Callable[[TrainingProgress], None] | None = None) -> None:
        self._on_progress = on_progress

    def train(self, spec: JobSpec, parent: Weights, data: Dataset, *, seed: int) -> TrainingResult:
        return train(spec, parent, data, seed=seed, on_progress=self._on_progress)


def derive_seed(spec: JobSpec, purpose: str, job: int, round_: int, member: int) -> int:
    """63 bits, the same for the same job, round and member on every run."""
    text = f"{purpose}:{spec.training.seed}:{job}:{round_}:{member}"
    return int.from_bytes(sha256(text.encode()).digest()[:8]) >> 1


@dataclass(frozen=True, slots=True)
class StoredUpdate:
    """`residual`: what the payload left out, None if the encoding loses nothing."""

    digest: Digest
    residual: Weights | None


def store_update(
    store: ContentStore,
    spec: JobSpec,
    parent: Weights,
    result: TrainingResult,
    residual: Weights | None = None,
    *,
    base: Digest,
    job: int,
    round_: int,
    trainer: Address,
) -> StoredUpdate:
    """Payload and manifest into the node's own store only: the CID is secret until REVEAL.

    `residual`: what an earlier update left out, to go into this one.
    """
    delta = compute_delta(result.weights, parent)
    payload, left_out = encode_with_feedback(delta, residual, spec)
    manifest = UpdateManifest(
        payload=store.put(payload),
        encoding=spec.encoding.kind,
        base=manifest_cid(base),
        job=job,
        round=round_,
        trainer=trainer,
        samples=result.samples,
        metrics=_claim(result),
    )
    block = encode_manifest(manifest)
    store.pin(store.put_block(block))
    return StoredUpdate(compute_digest(block), left_out)


def _claim(result: TrainingResult) -> dict[str, float]:
    """What the manifest says of the training; nobody checks it, and no pay rests on it."""
    metrics = {"loss": float(result.loss), "accuracy": float(result.accuracy)}
    return {name: value for name, value in metrics.items() if isfinite(value)}
