"""One question to a chain's node each, and how its answer is read: JSON-RPC without web3.

web3 takes three times as long for a read as all else about it; what is read at every block is read
with these. Answers come from strangers: what is no answer raises ChainUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from commonweal.adapters.codec import ContractReverted, decode_revert, find_revert_data
from commonweal.adapters.rpc import ChainRefused, ChainUnavailable

T = TypeVar("T")
_ANY_LOGS = "0xff"  # where a chain tells no bloom filter, a block may have logs


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int  # seconds
    has_logs: bool = True  # False: certainly none of any contract


@dataclass(frozen=True, slots=True)
class Log:
    """As a node has it: `at` are block number and place in the block."""

    at: tuple[int, int]
    block_hash: bytes
    tx_hash: bytes
    topics: tuple[bytes, ...]
    data: bytes
    timestamp: int | None  # of the block, seconds; not every node tells


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    method: str
    params: Sequence[Any]
    read: Callable[[Any], T]  # of the result

    def take(self, answer: Mapping[str, Any]) -> T:
        """Raises ContractReverted, ChainRefused, ChainUnavailable."""
        if (error := answer.get("error")) is not None:
            raise explain(error)
        try:
            return self.read(answer["result"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"what came for {self.method} is no answer: {error!r}"
            raise ChainUnavailable(message, method=self.method) from error


def explain(error: object) -> ContractReverted | ChainRefused:
    """What a JSON-RPC error says."""
    data = find_revert_data(error)
    if data is not None:
        return decode_revert(data)
    if "revert" in str(error):
        return ContractReverted()
    reason = error.get("message") if isinstance(error, Mapping) else None
    return ChainRefused(f"the chain refused: {reason or error}")


def ask_block(which: int | str) -> Query[Block | None]:
    """None where the node has no such block."""
    return Query("eth_getBlockByNumber", [_to_tag(which), False], _read_block)


def ask_call(transaction: Mapping[str, Any], at: int | str) -> Query[bytes]:
    """`transaction` with integers and bytes, as they are."""
    return Query("eth_call", [_to_json(transaction), _to_tag(at)], _read_bytes)


def ask_gas(transaction: Mapping[str, Any]) -> Query[int]:
    return Query("eth_estimateGas", [_to_json(transaction)], _read_number)


def ask_logs(
    addresses: Sequence[str], topics: Sequence[Any], first: int, last: int
) -> Query[list[Log]]:
    """`topics`: per place a topic or several of them, one of which a log must have."""
    condition = {
        "address": list(addresses),
        "fromBlock": hex(first),
        "toBlock": hex(last),
        "topics": [_to_hex(topic) for topic in topics],
    }
    return Query("eth_getLogs", [condition], lambda logs: [_read_log(log) for log in logs])


def ask_nonce(address: str, which: str) -> Query[int]:
    return Query("eth_getTransactionCount", [address, which], _read_number)


def ask_tip() -> Query[int]:
    return Query("eth_maxPriorityFeePerGas", [], _read_number)


def ask_base_fee() -> Query[int]:
    """Of the latest block, in wei per gas."""
    return Query("eth_getBlockByNumber", ["latest", False], _read_base_fee)


def _to_tag(which: int | str) -> str:
    return which if isinstance(which, str) else hex(which)


def _to_json(transaction: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _to_hex(value) for name, value in transaction.items()}


def _to_hex(value: Any) -> Any:
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [_to_hex(each) for each in value] if isinstance(value, list) else value


def _read_number(value: Any) -> int:
    return value if isinstance(value, int) else int(value, 16)


def _read_base_fee(block: Any) -> int:
    return _read_number(block["baseFeePerGas"])


def _read_bytes(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError("not bytes")
    return bytes.fromhex(value[2:])


def _read_block(block: Any) -> Block | None:
    if block is None:
        return None
    return Block(
        _read_number(block["number"]),
        _read_bytes(block["hash"]),
        _read_bytes(block["parentHash"]),
        _read_number(block["timestamp"]),
        any(_read_bytes(block.get("logsBloom") or _ANY_LOGS)),
    )


def _read_log(log: Any) -> Log:
    told = log.get("blockTimestamp")
    return Log(
        (_read_number(log["blockNumber"]), _read_number(log["logIndex"])),
        _read_bytes(log["blockHash"]),
        _read_bytes(log["transactionHash"]),
        tuple(map(_read_bytes, log["topics"])),
        _read_bytes(log["data"]),
        None if told is None else _read_number(told),
    )
