"""The content that a job starts from: its specification, its first model, its validation set."""

from __future__ import annotations

from commonweal.adapters.content.dags import list_held, walk
from commonweal.adapters.content.store import ContentNotFound, ContentStore
from commonweal.jobfile import InvalidJobFile, JobFile
from commonweal.learning.weights import encode_weights, initial_weights
from commonweal.protocol.cids import Cid, parse_cid
from commonweal.protocol.manifests import ModelManifest, compute_digest, encode_manifest
from commonweal.protocol.specs import DataSpec
from commonweal.protocol.types import ZERO_DIGEST, Digest
from commonweal.validation_sets import MAX_VALIDATION_BYTES, parse_validation_set


def store_job_content(job_file: JobFile, store: ContentStore) -> tuple[Digest, Digest]:
    """Store the job-spec manifest, the initial model and the validation set; the first two's
    digests. Nothing is pinned: a store keeps what is new for a while, and what the chain names.

    Raises InvalidJobFile if a set that is named by its CID is not here, InvalidData if it is none.
    """
    spec = job_file.spec
    if job_file.validation is not None:
        store.unpin(store.put(job_file.validation.content))
    elif spec.data.validation is not None:
        _store_again(spec.data.validation, spec.data, store)
    spec_block = encode_manifest(spec)
    weights = store.put(encode_weights(initial_weights(spec.model, spec.training.seed)))
    store.unpin(weights)
    model_block = encode_manifest(
        ModelManifest(weights=weights, parent=None, job=0, round=0, contributors=bytes(ZERO_DIGEST))
    )
    for block in (spec_block, model_block):
        store.put_block(block)
    return compute_digest(spec_block), compute_digest(model_block)


def _store_again(cid: str, spec: DataSpec, store: ContentStore) -> None:
    """Checks a set that is here, and puts its blocks again, as if they were new."""

    def links(node: Cid) -> list[Cid]:
        return list_held(node, store.get_block(str(node)))

    try:
        parse_validation_set(store.get(cid, max_bytes=MAX_VALIDATION_BYTES), spec)
        for node in walk(parse_cid(cid), links):
            store.put_block(store.get_block(str(node)), node.codec)
    except ContentNotFound as error:
        message = f"data.validation: {cid} is not stored here; say where the samples are instead"
        raise InvalidJobFile(message, cid=cid) from error
