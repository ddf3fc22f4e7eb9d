"""Between the contracts' ABI and Python values: calls, return values, event logs, custom errors.

Names become snake_case, addresses checksummed, structs dicts or the protocol's dataclasses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import is_dataclass
from enum import IntEnum, IntFlag
from functools import cache, lru_cache
from typing import Any, TypeVar, cast, get_type_hints

from eth_abi.abi import encode
from eth_abi.codec import ABIDecoder
from eth_abi.decoding import StringDecoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import BaseEquals, registry
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from commonweal.adapters.deployment import CONTRACTS, load_abi
from commonweal.errors import Conflict, InvalidInput
from commonweal.protocol.events import EVENT_TYPES, ChainEvent, EventRef

Abi = Mapping[str, Any]
T = TypeVar("T")

_NESTS = ("data", "error", "result", "originalError")
_STANDARD_ERRORS: tuple[Abi, ...] = (
    {"name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


class ContractReverted(Conflict):
    """A contract said no. `name` and `arguments` are its custom error's; both may be empty."""

    code = "contract-reverted"

    def __init__(self, name: str = "", arguments: Mapping[str, object] | None = None) -> None:
        self.name = name
        self.arguments = dict(arguments or {})
        shown = {key: _show(value) for key, value in self.arguments.items()}
        text = ", ".join(f"{key}={value}" for key, value in shown.items())
        message = f"{name}({text})" if name else "the contract reverted without a reason"
        super().__init__(message, error=name, arguments=shown)


class InvalidCall(InvalidInput):
    code = "invalid-call"


class _TextDecoder(StringDecoder):
    """Contracts take any bytes for a string, and whoever reads a log must get past it: what is not
    UTF-8 becomes U+FFFD, and so does NUL, which PostgreSQL cannot keep.
    """

    @staticmethod
    def decoder_fn(data: bytes, _errors: str = "") -> str:
        return data.decode(errors="replace").replace("\0", "\ufffd")


def _make_decoder() -> ABIDecoder:
    tolerant = registry.copy()  # type: ignore[no-untyped-call]
    tolerant.unregister_decoder("string")
    is_string = BaseEquals("string")  # type: ignore[no-untyped-call]
    tolerant.register_decoder(is_string, _TextDecoder, label="string")
    return ABIDecoder(tolerant)


_decode = _make_decoder().decode


class FunctionCodec:
    """One function of one contract."""

    def __init__(self, abi: Abi) -> None:
        self._name: str = abi["name"]
        self._selector = bytes(function_abi_to_4byte_selector(abi))  # type: ignore[arg-type]
        self._inputs = get_abi_input_types(abi)  # type: ignore[arg-type]
        self._outputs = get_abi_output_types(abi)  # type: ignore[arg-type]
        self._components: Sequence[Abi] = abi["outputs"]

    def encode(self, args: Sequence[object]) -> bytes:
        try:
            return self._selector + encode(self._inputs, args)
        except (EncodingError, ValueError, TypeError) as error:
            raise InvalidCall(f"{self._name}: {error}", function=self._name) from error

    def decode(self, data: bytes) -> Any:
        """The value itself for one return value, a tuple for several; structs are dicts."""
        values = _decode(self._outputs, data)
        named = [_convert(abi, value) for abi, value in zip(self._components, values, strict=True)]
        return named[0] if len(named) == 1 else tuple(named)


@cache
def function_codec(contract: str, function: str) -> FunctionCodec:
    for abi in load_abi(contract):
        if abi["type"] == "function" and abi["name"] == function:
            return FunctionCodec(abi)
    raise InvalidCall(f"{contract} has no function {function}", contract=contract)


def encode_constructor(contract: str, args: Sequence[object]) -> bytes:
    for abi in load_abi(contract):
        if abi["type"] == "constructor":
            return encode(get_abi_input_types(abi), args)  # type: ignore[arg-type]
    return b""


@cache
def event_topics() -> Mapping[str, bytes]:
    """Topic by event name, for all events of `protocol.events`."""
    return {abi["name"]: topic for topic, abi in _events().items()}


def decode_log(topics: Sequence[bytes], data: bytes, ref: EventRef) -> ChainEvent | None:
    """None for an event that is not the protocol's."""
    codec = _event_codecs().get(bytes(topics[0])) if topics else None
    return None if codec is None else codec.decode(topics[1:], data, ref)


class _EventCodec:
    """One event: an indexer decodes thousands a second, so what its ABI says is read once."""

    def __init__(self, abi: Abi) -> None:
        self._kind = EVENT_TYPES[abi["name"]]
        indexed = [entry for entry in abi["inputs"] if entry["indexed"]]
        plain = [entry for entry in abi["inputs"] if not entry["indexed"]]
        self._indexed = [entry["type"] for entry in indexed]  # of one word each
        self._plain = [collapse_if_tuple(entry) for entry in plain]
        self._fields = [(to_snake_case(entry["name"]), entry) for entry in indexed + plain]

    def decode(self, words: Sequence[bytes], data: bytes, ref: EventRef) -> ChainEvent:
        values = _decode(self._indexed, b"".join(words)) + _decode(self._plain, data)
        named = zip(self._fields, values, strict=True)
        fields = {name: _convert(entry, value) for (name, entry), value in named}
        return build(self._kind, {"ref": ref, **fields})


def decode_revert(data: bytes) -> ContractReverted:
    abi = _errors().get(data[:4])
    if abi is None:
        return ContractReverted(f"0x{data[:4].hex()}" if data else "")
    try:
        values = _decode([collapse_if_tuple(entry) for entry in abi["inputs"]], data[4:])
    except DecodingError:
        return ContractReverted(abi["name"])
    named = zip(abi["inputs"], values, strict=True)
    arguments = {entry["name"].rstrip("_"): _convert(entry, value) for entry, value in named}
    return ContractReverted(abi["name"], arguments)


def find_revert_data(error: object) -> bytes | None:
    """The revert bytes in a JSON-RPC error: nodes put them in `data`, some nest them deeper."""
    if isinstance(error, str):
        found = re.search(r"0x(?:[0-9a-fA-F]{2})*$", error)
        return bytes.fromhex(found.group()[2:]) if found else None
    if isinstance(error, Mapping):
        nested = (find_revert_data(error[key]) for key in _NESTS if key in error)
        return next((data for data in nested if data is not None), None)
    return None


def build(kind: type[T], fields: Mapping[str, Any]) -> T:
    """A protocol dataclass from decoded fields; enums and nested structs by its annotations."""
    hints = _hints(cast(Hashable, kind))
    return kind(**{name: _coerce(hints[name], value) for name, value in fields.items()})


def to_snake_case(name: str) -> str:
    starts = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    return re.sub(starts, "_", name).lower().rstrip("_")


def _coerce(hint: Any, value: Any) -> Any:
    if not isinstance(hint, type):
        return value
    if issubclass(hint, IntEnum | IntFlag):
        return hint(value)
    if is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value)
    return value


def _convert(abi: Abi, value: Any) -> Any:
    kind: str = abi["type"]
    if kind.endswith("]"):
        inner = {**abi, "type": kind[: kind.rindex("[")]}
        return tuple(_convert(inner, entry) for entry in value)
    if kind == "tuple":
        named = zip(abi["components"], value, strict=True)
        return {to_snake_case(entry["name"]): _convert(entry, part) for entry, part in named}
    return _to_checksum(value) if kind == "address" else value


@lru_cache(maxsize=4096)
def _to_checksum(address: str) -> str:
    """The same few providers are named again and again."""
    return to_checksum_address(address)


def _show(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [_show(entry) for entry in value] if isinstance(value, tuple) else value


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return {name: _unwrap(hint) for name, hint in get_type_hints(kind).items()}


def _unwrap(hint: Any) -> Any:
    return getattr(hint, "__supertype__", hint)


@cache
def _events() -> Mapping[bytes, Abi]:
    return _collect("event", lambda abi: bytes(event_abi_to_log_topic(abi)), EVENT_TYPES)  # type: ignore[arg-type]


@cache
def _event_codecs() -> Mapping[bytes, _EventCodec]:
    return {topic: _EventCodec(abi) for topic, abi in _events().items()}


@cache
def _errors() -> Mapping[bytes, Abi]:
    standard = {_error_selector(abi): abi for abi in _STANDARD_ERRORS}
    return {**standard, **_collect("error", _error_selector)}


def _error_selector(abi: Abi) -> bytes:
    types = ",".join(collapse_if_tuple(entry) for entry in abi["inputs"])
    return keccak(text=f"{abi['name']}({types})")[:4]


def _collect(
    kind: str, key: Callable[[Abi], bytes], names: Mapping[str, object] | None = None
) -> dict[bytes, Abi]:
    entries = (abi for contract in CONTRACTS for abi in load_abi(contract) if abi["type"] == kind)
    return {key(abi): abi for abi in entries if names is None or abi["name"] in names}
