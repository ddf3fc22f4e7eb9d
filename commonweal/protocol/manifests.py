"""Manifests: the DAG-CBOR blocks whose sha2-256 goes on chain. One encoding each, strictly parsed.

No IO, no stores: those are in `commonweal.adapters.content`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal, Self

import libipld
from eth_utils.address import is_checksum_address, to_checksum_address
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from commonweal.errors import InvalidInput
from commonweal.protocol.cbor import is_nested_deeper
from commonweal.protocol.cids import Cid, InvalidCid, parse_binary_cid, parse_cid
from commonweal.protocol.specs import FileLink, JobSpec
from commonweal.protocol.types import ZERO_DIGEST, Address, Digest

MAX_MANIFEST_BYTES = 2**20
MAX_DEPTH = 16
VERSION = 1


class InvalidManifest(InvalidInput):
    """`reason` says which rule the block breaks."""

    code: ClassVar[str] = "invalid-manifest"

    def __init__(self, reason: str, **details: object) -> None:
        super().__init__(f"Invalid manifest: {reason}", reason=reason, **details)


def _check_manifest_link(text: str) -> str:
    try:
        cid = parse_cid(text)
    except InvalidCid as error:
        raise ValueError(error.message) from error
    if cid.codec != "dag-cbor":
        raise ValueError("a manifest's CID has codec dag-cbor")
    return str(cid)


def _check_address(text: str) -> Address:
    if not is_checksum_address(text):
        raise ValueError("an address is checksummed")
    return Address(text)


ManifestLink = Annotated[str, AfterValidator(_check_manifest_link)]
Uint = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1, lt=2**63)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Facts = Annotated[dict[Name, JsonValue], Field(max_length=256)]


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelManifest(_Manifest):
    """A global model. The initial one has parent None, job 0, round 0, contributors zero.

    `optimiser`: the server optimiser's moments after the round, if it keeps any.
    """

    weights: FileLink
    parent: ManifestLink | None = None
    job: Uint = 0
    round: Uint = 0
    contributors: Annotated[bytes, Field(min_length=32, max_length=32)] = bytes(ZERO_DIGEST)
    optimiser: FileLink | None = None

    @model_validator(mode="after")
    def _check_origin(self) -> Self:
        is_initial = self.parent is None
        if is_initial and (self.job, self.round, self.contributors) != (0, 0, ZERO_DIGEST):
            raise ValueError("an initial model has job 0, round 0 and no contributors")
        if is_initial and self.optimiser is not None:
            raise ValueError("an initial model has no moments: they start at zero")
        if not is_initial and 0 in (self.job, self.round):
            raise ValueError("a trained model names its job and round")
        return self


class UpdateManifest(_Manifest):
    """What one trainer offers in one round."""

    payload: FileLink
    encoding: Name
    base: ManifestLink  # the model that the update was trained from
    job: Count
    round: Count
    trainer: Annotated[Address, AfterValidator(_check_address)]
    samples: Uint  # claimed, never believed
    metrics: Annotated[dict[Name, Finite], Field(max_length=64)] = {}


class CapabilitiesManifest(_Manifest):
    """What a provider's machine is: found, measured by the agent's benchmark, or only declared."""

    hardware: Facts = {}
    measured: Facts = {}
    declared: Facts = {}


JobSpecManifest = JobSpec
Manifest = JobSpec | ModelManifest | UpdateManifest | CapabilitiesManifest
Kind = Literal["job-spec", "model", "update", "capabilities"]

_MODELS: dict[Kind, type[Manifest]] = {
    "job-spec": JobSpec,
    "model": ModelManifest,
    "update": UpdateManifest,
    "capabilities": CapabilitiesManifest,
}
_LINKS: dict[Kind, tuple[str, ...]] = {
    "model": ("weights", "parent", "optimiser"),
    "update": ("payload", "base"),
}
# Left out when there are none: a model without moments has the block it always had.
_OPTIONAL: dict[Kind, tuple[str, ...]] = {"model": ("optimiser",)}


def encode_manifest(manifest: Manifest) -> bytes:
    """Raises InvalidManifest if it would be larger than 1 MiB or holds what DAG-CBOR has not."""
    kind = next(kind for kind, model in _MODELS.items() if isinstance(manifest, model))
    fields = {"kind": kind, "version": VERSION, **_pack(kind, manifest.model_dump())}
    try:
        block = _encode_map(fields)
    except (ValueError, RecursionError) as error:
        raise InvalidManifest("a value has no DAG-CBOR form", cause=str(error)) from error
    _check_size(block)
    _check_depth(block)
    return block


def _pack(kind: Kind, fields: dict[str, Any]) -> dict[str, Any]:
    packed = dict(fields)
    for name in _LINKS.get(kind, ()):
        packed[name] = None if fields[name] is None else parse_cid(fields[name])
    for name in _OPTIONAL.get(kind, ()):
        if packed[name] is None:
            del packed[name]
    if kind == "update":
        packed["trainer"] = bytes.fromhex(fields["trainer"][2:])
    if kind == "job-spec":
        packed["data"] = _pack_data(fields["data"])
    return packed


def _pack_data(data: dict[str, Any]) -> dict[str, Any]:
    """The validation set is a link; what is not shared is not said, as before sets were shared."""
    packed = {name: value for name, value in data.items() if value or name != "share_validation"}
    if data["validation"] is not None:
        packed["validation"] = parse_cid(data["validation"])
    return packed


def _encode_map(fields: dict[str, Any]) -> bytes:
    """Keys by length, then bytewise; at most 23 of them."""
    names = sorted(fields, key=lambda name: (len(name), name))
    items = [libipld.encode_dag_cbor(name) + _encode_value(fields[name]) for name in names]
    return bytes((0xA0 + len(items),)) + b"".join(items)


def _encode_value(value: Any) -> bytes:
    # libipld would write a byte string that looks like a CID as a link: an address can be ground
    # to look like one, so byte strings and links are told apart here, by the field they stand in.
    if isinstance(value, bytes):
        header = bytes((0x40 + len(value),)) if len(value) < 24 else bytes((0x58, len(value)))
        return header + value
    if isinstance(value, Cid):
        return bytes(libipld.encode_dag_cbor(value.binary))
    return bytes(libipld.encode_dag_cbor(_as_lists(value)))


def _as_lists(value: Any) -> Any:
    if isinstance(value, Cid):
        return value.binary
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def decode_manifest(block: bytes) -> Manifest:
    """Raises InvalidManifest unless the block is the one encoding of a valid manifest."""
    _check_size(block)
    fields = _decode_map(block)
    kind, version = fields.pop("kind", None), fields.pop("version", None)
    if not isinstance(kind, str) or kind not in _MODELS:
        raise InvalidManifest("unknown kind", kind=str(kind)[:64], known=list(_MODELS))
    if type(version) is not int or version != VERSION:
        raise InvalidManifest("unknown version", version=str(version)[:64], known=VERSION)
    manifest = _validate(_MODELS[kind], _unpack(kind, fields))
    if encode_manifest(manifest) != block:
        raise InvalidManifest("not the canonical encoding", kind=kind)
    return manifest


def _decode_map(block: bytes) -> dict[str, Any]:
    try:
        _check_depth(block)
        fields = libipld.decode_dag_cbor(block)
    except (ValueError, RecursionError) as error:
        raise InvalidManifest("not DAG-CBOR", cause=str(error)) from error
    if not isinstance(fields, dict):
        raise InvalidManifest("not a map", type=type(fields).__name__)
    return fields


def _unpack(kind: Kind, fields: dict[str, Any]) -> dict[str, Any]:
    """What is not of the right type is left as it is, for the model to refuse."""
    unpacked = dict(fields)
    for name in _LINKS.get(kind, ()):
        if isinstance(fields.get(name), bytes):
            unpacked[name] = _decode_link(name, fields[name])
    trainer = fields.get("trainer")
    if kind == "update" and isinstance(trainer, bytes):
        unpacked["trainer"] = to_checksum_address(trainer) if len(trainer) == 20 else trainer.hex()
    data = fields.get("data")
    if kind == "job-spec" and isinstance(data, dict) and isinstance(data.get("validation"), bytes):
        validation = _decode_link("data.validation", data["validation"])
        unpacked["data"] = {**data, "validation": validation}
    return unpacked


def _decode_link(name: str, data: bytes) -> str:
    try:
        return str(parse_binary_cid(data))
    except InvalidCid as error:
        raise InvalidManifest("not a usable link", field=name, cause=error.message) from error


def _validate(model: type[Manifest], fields: dict[str, Any]) -> Manifest:
    try:
        return model.model_validate(fields)
    except (ValidationError, RecursionError) as error:
        raise InvalidManifest(_first_problem(error)) from error


def _first_problem(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(step) for step in first['loc']) or 'manifest'}: {first['msg']}"


def _check_size(block: bytes) -> None:
    if len(block) > MAX_MANIFEST_BYTES:
        raise InvalidManifest("too large", size=len(block), limit=MAX_MANIFEST_BYTES)


def _check_depth(block: bytes) -> None:
    if is_nested_deeper(block, MAX_DEPTH):
        raise InvalidManifest("nested too deeply", limit=MAX_DEPTH)


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
