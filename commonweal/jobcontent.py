"""The content that a job starts from: its specification and its first model."""

from __future__ import annotations

from commonweal.adapters.content.store import ContentStore
from commonweal.learning.weights import encode_weights, initial_weights
from commonweal.protocol.manifests import ModelManifest, compute_digest, encode_manifest
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import ZERO_DIGEST, Digest


def store_job_content(spec: JobSpec, store: ContentStore) -> tuple[Digest, Digest]:
    """Store the job-spec manifest and the initial model; their digests."""
    spec_block = encode_manifest(spec)
    weights = store.put(encode_weights(initial_weights(spec.model, spec.training.seed)))
    model_block = encode_manifest(
        ModelManifest(weights=weights, parent=None, job=0, round=0, contributors=bytes(ZERO_DIGEST))
    )
    for block in (spec_block, model_block):
        store.put_block(block)
    return compute_digest(spec_block), compute_digest(model_block)
