"""Manifests: the DAG-CBOR blocks whose sha2-256 goes on chain. One encoding per manifest, strictly parsed.

No IO, no stores: those are in `commonweal.adapters.content`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal

import libipld
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from commonweal.errors import InvalidInput
from commonweal.protocol.cids import Cid, Codec, InvalidCid, parse_binary_cid, parse_cid
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import ZERO_DIGEST, Address, Digest

MAX_MANIFEST_BYTES = 2**20
VERSION = 1


class InvalidManifest(InvalidInput):
    """`reason` says which rule the block breaks."""

    code: ClassVar[str] = "invalid-manifest"


class ModelManifest(BaseModel):
    """A global model. The initial one has parent None, job 0, round 0, contributors zero."""

    weights: str  # CID of a UnixFS file (raw or dag-pb)
    parent: str | None = None  # CID of a model manifest
    job: int = 0
    round: int = 0
    contributors: bytes = bytes(ZERO_DIGEST)  # 32 bytes


class UpdateManifest(BaseModel):
    """What one trainer offers in one round."""

    payload: str  # CID of a UnixFS file (raw or dag-pb)
    encoding: str
    base: str  # CID of the model manifest that the update was trained from
    job: int
    round: int
    trainer: Address
    samples: int  # claimed, never believed
    metrics: dict[str, float] = {}


class CapabilitiesManifest(BaseModel):
    """What a provider's machine is: found, measured by the agent's benchmark, or only declared."""

    hardware: dict[str, JsonValue] = {}
    measured: dict[str, JsonValue] = {}
    declared: dict[str, JsonValue] = {}


JobSpecManifest = JobSpec
Manifest = JobSpec | ModelManifest | UpdateManifest | CapabilitiesManifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Raises InvalidManifest if it would be larger than 1 MiB."""
    raise NotImplementedError


def decode_manifest(block: bytes) -> Manifest:
    """Raises InvalidManifest unless the block is the one encoding of a valid manifest."""
    raise NotImplementedError


def compute_digest(block: bytes) -> Digest:
    return Digest(sha256(block).digest())


def manifest_cid(digest: Digest) -> str:
    return str(Cid("dag-cbor", bytes(digest)))


def digest_of_cid(cid: str) -> Digest:
    """Raises InvalidCid unless it is a dag-cbor CID."""
    parsed = parse_cid(cid)
    if parsed.codec != "dag-cbor":
        raise InvalidCid("A manifest's CID has codec dag-cbor", cid=cid, codec=parsed.codec)
    return Digest(parsed.digest)
