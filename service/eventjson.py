"""Chain events as JSON and back: the `data` of the events table and of the event stream.

Bytes are 0x-hex, money decimal strings, enumerations their lower-case names.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import is_dataclass
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from commonweal.protocol.events import EVENT_TYPES, ChainEvent, EventRef
from commonweal.protocol.types import Role, Wei

Json = Any


def name_of(value: IntEnum) -> str:
    return value.name.lower().replace("_", "-")


def roles_of(value: int) -> list[str]:
    return [name_of_flag(role) for role in Role if role in Role(value)]


def name_of_flag(role: Role) -> str:
    return (role.name or "").lower()


def to_hex(data: bytes) -> str:
    return "0x" + bytes(data).hex()


def from_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def encode_event(event: ChainEvent) -> dict[str, Json]:
    return {name: value for name, value in encode_fields(event).items() if name != "ref"}


def encode_fields(value: Any) -> dict[str, Json]:
    """A frozen dataclass of the protocol, field by field."""
    return {
        name: encode(getattr(value, name))
        for name, (encode, _) in _codecs_of(value.__class__).items()
    }


def decode_event(name: str, data: dict[str, Json], ref: EventRef) -> ChainEvent:
    kind: Any = EVENT_TYPES[name]
    values = {
        field: decode(data[field])
        for field, (_, decode) in _codecs_of(kind).items()
        if field != "ref"
    }
    event: ChainEvent = kind(ref=ref, **values)
    return event


_Codec = tuple[Callable[[Any], Json], Callable[[Json], Any]]


@cache
def _codecs_of(kind: Hashable) -> dict[str, _Codec]:
    hints = get_type_hints(kind)
    return {field: _codec(hints[field]) for field in hints}


def _codec(hint: Any) -> _Codec:
    if hint is Wei:
        return str, int
    plain = getattr(hint, "__supertype__", hint)
    if plain is EventRef:
        return lambda _: None, lambda _: None
    if get_origin(plain) is tuple:
        encode, decode = _codec(get_args(plain)[0])
        return (lambda values: [encode(v) for v in values]), (lambda vs: tuple(map(decode, vs)))
    if plain is bytes:
        return to_hex, from_hex
    if is_dataclass(plain):
        return encode_fields, lambda data: _build(plain, data)
    return _codec_of_number(plain)


def _codec_of_number(plain: Any) -> _Codec:
    if isinstance(plain, type) and issubclass(plain, IntFlag):
        return int, plain
    if isinstance(plain, type) and issubclass(plain, IntEnum):
        return name_of, {name_of(member): member for member in plain}.__getitem__
    if plain is int:
        # Numbers that JSON readers would round (bitmaps) travel as strings.
        return (lambda value: value if value < 2**53 else str(value)), int
    return (lambda value: value), (lambda value: value)


def _build(kind: Any, data: dict[str, Json]) -> Any:
    return kind(**{name: decode(data[name]) for name, (_, decode) in _codecs_of(kind).items()})
