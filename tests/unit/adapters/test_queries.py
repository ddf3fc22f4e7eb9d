"""Answers of a chain's node that nobody vouches for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rpc_nodes import serve

from commonweal.adapters.codec import ContractReverted
from commonweal.adapters.queries import ask_block, ask_call, ask_logs, ask_nonce
from commonweal.adapters.rpc import ChainRefused, ChainUnavailable, HttpProvider

BLOCK = {"number": "0x7", "hash": "0x0a", "parentHash": "0x0b", "timestamp": "0x9"}
REASON = (
    "0x08c379a0" + (32).to_bytes(32).hex() + (2).to_bytes(32).hex() + b"no".hex().ljust(64, "0")
)


@pytest.mark.parametrize(
    ("bloom", "has_logs"),
    [("0x" + "00" * 256, False), ("0x" + "00" * 255 + "01", True), (None, True)],
)
def test_only_an_empty_bloom_filter_says_that_a_block_has_no_logs(
    bloom: str | None, has_logs: bool
) -> None:
    block = ask_block(7).take({"result": {**BLOCK, "logsBloom": bloom}})
    assert block is not None
    assert (block.number, block.hash, block.parent_hash) == (7, b"\x0a", b"\x0b")
    assert (block.timestamp, block.has_logs) == (9, has_logs)


def test_a_block_that_is_not_there_is_none() -> None:
    assert ask_block(7).take({"result": None}) is None


@pytest.mark.parametrize(
    "answer",
    [{}, {"result": "ten"}, {"result": {**BLOCK, "number": "x"}}, {"result": {**BLOCK, "hash": 5}}],
    ids=["nothing", "no block", "no number", "no bytes"],
)
def test_what_is_no_answer_is_said_to_be_none(answer: dict[str, Any]) -> None:
    with pytest.raises(ChainUnavailable, match="no answer"):
        ask_block(7).take(answer)


@pytest.mark.parametrize("logs", [None, 5, [5], [None], [[]], [{}], {"a": 1}])
def test_what_are_no_logs_is_no_answer(logs: Any) -> None:
    with pytest.raises(ChainUnavailable, match="no answer"):
        ask_logs([], [], 1, 2).take({"result": logs})


@pytest.mark.parametrize(
    "error",
    [
        {"code": 3, "message": "execution reverted: no", "data": REASON},
        {"code": -32603, "message": "reverted", "data": {"message": "no", "data": REASON}},
    ],
    ids=["as most nodes", "nested"],
)
def test_a_revert_says_its_reason(error: dict[str, Any]) -> None:
    with pytest.raises(ContractReverted) as caught:
        ask_call({"to": "0x00", "data": b""}, 7).take({"error": error})
    assert (caught.value.name, caught.value.arguments) == ("Error", {"message": "no"})


def test_another_refusal_is_no_revert() -> None:
    with pytest.raises(ChainRefused, match="header not found"):
        ask_call({"to": "0x00"}, 7).take({"error": {"code": -32000, "message": "header not found"}})


def test_numbers_and_bytes_are_written_as_nodes_read_them() -> None:
    call = ask_call({"to": "0x0c", "data": b"\x01\x02", "gas": 255}, 16)
    assert list(call.params) == [{"to": "0x0c", "data": "0x0102", "gas": "0xff"}, "0x10"]
    logs = ask_logs(["0x0c"], [[b"\x01"], b"\x02"], 1, 16)
    assert logs.params[0]["topics"] == [["0x01"], "0x02"]
    assert (logs.params[0]["fromBlock"], logs.params[0]["toBlock"]) == ("0x1", "0x10")
    assert ask_nonce("0x0c", "pending").params == ["0x0c", "pending"]


@contextmanager
def asked_of(answer: Callable[[Any], Any]) -> Iterator[tuple[HttpProvider, list[Any]]]:
    """A node that says what `answer` gives for a request's JSON, and what it was asked."""
    asked: list[Any] = []

    def reply(body: bytes) -> tuple[int, bytes]:
        asked.append(json.loads(body))
        return 200, json.dumps(answer(asked[-1])).encode()

    with serve(reply) as provider:
        yield provider, asked


def echo(asked: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": asked["id"], "result": asked["method"]}


def test_several_requests_are_one_exchange_and_answers_find_theirs_in_any_order() -> None:
    with asked_of(lambda asked: [echo(each) for each in reversed(asked)]) as (provider, asked):
        answers = provider.make_batch([("first", []), ("second", [])])
    assert [each["result"] for each in answers] == ["first", "second"]
    assert len(asked) == 1


def test_a_node_that_takes_no_batches_is_asked_one_by_one() -> None:
    def refuse(asked: Any) -> Any:
        return {"error": {"message": "no batches"}} if isinstance(asked, list) else echo(asked)

    with asked_of(refuse) as (provider, asked):
        for _ in range(2):
            answers = provider.make_batch([("first", []), ("second", [])])
            assert [each["result"] for each in answers] == ["first", "second"]
    assert [type(each) for each in asked] == [list, dict, dict, dict, dict]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: [],
        lambda asked: [echo(asked[0])],
        lambda asked: [echo(asked[0]), {"id": 1, "error": {"message": "too many requests"}}],
        lambda _: ["nonsense", "nonsense"],
        lambda asked: [echo(asked[0]), {"id": [], "result": "second"}],
    ],
    ids=["empty", "one lacks", "too many", "no objects", "no id"],
)
def test_a_batch_that_is_not_answered_in_full_is_no_answer(spoil: Callable[[Any], Any]) -> None:
    with asked_of(spoil) as (provider, _), pytest.raises(ChainUnavailable):
        provider.make_batch([("first", []), ("second", [])])
