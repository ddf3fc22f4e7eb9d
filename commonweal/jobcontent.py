"""The content that a job starts from: its specification, its first model, its validation set."""

from __future__ import annotations

from commonweal.adapters.content.store import ContentStore
from commonweal.jobfile import InvalidJobFile, JobFile
from commonweal.learning.weights import encode_weights, initial_weights
from commonweal.protocol.manifests import ModelManifest, compute_digest, encode_manifest
from commonweal.protocol.types import ZERO_DIGEST, Digest


def store_job_content(job_file: JobFile, store: ContentStore) -> tuple[Digest, Digest]:
    """Store the job-spec manifest, the initial model and the validation set; the first two's
    digests. A set that the file names by its CID must be here: raises InvalidJobFile.
    """
    spec = job_file.spec
    _store_validation_set(job_file, store)
    spec_block = encode_manifest(spec)
    weights = store.put(encode_weights(initial_weights(spec.model, spec.training.seed)))
    model_block = encode_manifest(
        ModelManifest(weights=weights, parent=None, job=0, round=0, contributors=bytes(ZERO_DIGEST))
    )
    for block in (spec_block, model_block):
        store.put_block(block)
    return compute_digest(spec_block), compute_digest(model_block)


def _store_validation_set(job_file: JobFile, store: ContentStore) -> None:
    cid = job_file.spec.data.validation
    if job_file.validation is not None:
        store.put(job_file.validation.content)
    elif cid is not None and not store.has(cid):
        message = f"data.validation: {cid} is not stored here; say where the samples are instead"
        raise InvalidJobFile(message, cid=cid)
