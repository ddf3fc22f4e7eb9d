"""Content identifiers as Commonweal uses them: CIDv1 over sha2-256 of raw, dag-pb or dag-cbor.

CIDv0 and other bases are read, and always written as lower-case base32. No IO here.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Literal

import libipld

from commonweal.errors import InvalidInput

Codec = Literal["raw", "dag-pb", "dag-cbor"]

CODES: dict[Codec, int] = {"raw": 0x55, "dag-pb": 0x70, "dag-cbor": 0x71}
_CODECS = {code: codec for codec, code in CODES.items()}
_SHA2_256 = 0x12
_DIGEST_BYTES = 32
_MAX_TEXT = 128


class InvalidCid(InvalidInput):
    code: ClassVar[str] = "invalid-cid"


@dataclass(frozen=True, slots=True)
class Cid:
    codec: Codec
    digest: bytes  # 32 bytes

    @property
    def binary(self) -> bytes:
        return bytes((1, CODES[self.codec], _SHA2_256, _DIGEST_BYTES)) + self.digest

    def __str__(self) -> str:
        return str(libipld.encode_cid(self.binary))


def compute_cid(block: bytes, codec: Codec) -> Cid:
    return Cid(codec, sha256(block).digest())


def is_block_of(cid: Cid, block: bytes) -> bool:
    return sha256(block).digest() == cid.digest


def parse_cid(text: str) -> Cid:
    """Raises InvalidCid for everything but a sha2-256 CID of one of the three codecs."""
    if not 0 < len(text) <= _MAX_TEXT:
        raise InvalidCid(f"A CID has 1 to {_MAX_TEXT} characters", have=len(text), most=_MAX_TEXT)
    return _parse(text)


def parse_binary_cid(data: bytes) -> Cid:
    """The binary form as links hold it: CIDv1, or CIDv0 (a bare sha2-256 multihash)."""
    cid = _parse(data)
    is_v0 = len(data) == _DIGEST_BYTES + 2
    if data != (cid.binary[2:] if is_v0 else cid.binary):
        raise InvalidCid("The CID is not in its shortest form", cid=data.hex())
    return cid


def _parse(data: str | bytes) -> Cid:
    shown = data if isinstance(data, str) else data.hex()
    try:
        parts = libipld.decode_cid(data)
    except ValueError as error:
        raise InvalidCid(f"{shown[:_MAX_TEXT]} is not a CID", reason=str(error)) from error
    codec = _CODECS.get(parts["codec"])
    digest = parts["hash"]["digest"]
    if codec is None:
        raise InvalidCid("The codec is none of raw, dag-pb, dag-cbor", codec=parts["codec"])
    if parts["hash"]["code"] != _SHA2_256 or len(digest) != _DIGEST_BYTES:
        raise InvalidCid(
            "Only whole sha2-256 is read", hash=parts["hash"]["code"], have=len(digest)
        )
    return Cid(codec, bytes(digest))
