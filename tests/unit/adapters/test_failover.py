"""Endpoints that fail, lag or lie are passed over, and come back when they are well."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast

import pytest
from rpc_nodes import serve
from web3.types import RPCEndpoint

from commonweal.adapters.failover import FailoverProvider
from commonweal.adapters.rpc import ChainUnavailable, HttpProvider, WrongChain

CHAIN = 31_337


class Node:
    """An endpoint with `head` blocks; `trouble` is what it does instead of answering."""

    def __init__(self, name: str, head: int = 100, chain: int = CHAIN) -> None:
        self.rpc_url = f"http://{name}:1"
        self.name, self.head, self.chain = name, head, chain
        self.trouble: Callable[[str], Any] | None = None
        self.asked: list[str] = []

    def make_request(self, method: str, params: Any) -> Any:
        self.asked.append(method)
        if self.trouble is not None:
            return self.trouble(method)
        if method == "eth_chainId":
            return {"result": hex(self.chain)}
        if method == "eth_blockNumber":
            return {"result": hex(self.head)}
        if method == "eth_getBlockByNumber":
            number = self.head if params[0] == "latest" else int(params[0], 16)
            found = {"number": hex(number), "by": self.name} if number <= self.head else None
            return {"result": found}
        return {"result": self.name}


class Door:
    def __init__(self, *nodes: Node) -> None:
        self.now = 1_000.0
        self.provider = FailoverProvider(
            cast(list[HttpProvider], nodes), CHAIN, clock=lambda: self.now
        )

    def ask(self, method: str, *params: Any) -> Any:
        return self.provider.make_request(RPCEndpoint(method), list(params)).get("result")


def away(method: str) -> Any:
    raise ChainUnavailable(f"no answer to {method}")


def test_the_first_that_answers_is_used_and_the_preferred_one_again_when_it_has_rested() -> None:
    first, second = Node("first"), Node("second")
    door = Door(first, second)
    assert door.ask("eth_call") == "first"
    first.trouble = away
    assert door.ask("eth_call") == "second"
    asked = len(first.asked)
    assert door.ask("eth_call") == "second"
    assert len(first.asked) == asked  # it rests
    first.trouble = None
    door.now += 1.1
    assert door.ask("eth_call") == "first"


def test_whoever_goes_on_failing_rests_longer_each_time() -> None:
    first, second = Node("first"), Node("second")
    first.trouble = away
    door = Door(first, second)
    times = []
    for _ in range(400):
        before = len(first.asked)
        door.ask("eth_call")
        if len(first.asked) > before:
            times.append(door.now)
        door.now += 0.5
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_when_none_answers_every_one_is_named_and_asked_again_the_next_time() -> None:
    nodes = [Node("first"), Node("second")]
    door = Door(*nodes)
    for node in nodes:
        node.trouble = away
    with pytest.raises(ChainUnavailable) as caught:
        door.ask("eth_call")
    assert caught.value.details["endpoints"] == 2
    nodes[1].trouble = None
    assert door.ask("eth_call") == "second"  # though it should rest


def test_an_endpoint_of_another_chain_is_never_used() -> None:
    stranger, right = Node("stranger", chain=1), Node("right")
    assert Door(stranger, right).ask("eth_call") == "right"
    with pytest.raises(WrongChain) as caught:
        Door(stranger).ask("eth_call")
    assert (caught.value.details["have"], caught.value.details["need"]) == (1, CHAIN)


def test_a_head_far_behind_another_is_passed_over() -> None:
    late, good = Node("late", head=90), Node("good", head=100)
    door = Door(good, late)
    assert int(door.ask("eth_blockNumber"), 16) == 100
    good.trouble = away
    # Nobody else answers: the best there is counts, or nothing would go on.
    assert int(door.ask("eth_blockNumber"), 16) == 90
    good.trouble = None
    door.now += 2
    good.head = 101
    assert int(door.ask("eth_blockNumber"), 16) == 101
    door = Door(late, good)
    door.ask("eth_blockNumber")
    late.trouble = away
    door.ask("eth_blockNumber")
    late.trouble = None
    door.now += 2
    assert int(door.ask("eth_blockNumber"), 16) == 101  # late is preferred, but late


def test_a_block_that_one_has_not_got_yet_comes_from_another() -> None:
    late, good = Node("late", head=99), Node("good", head=100)
    door = Door(late, good)
    assert door.ask("eth_getBlockByNumber", "0x64", False)["by"] == "good"
    assert door.ask("eth_getBlockByNumber", "0xc8", False) is None  # nobody has it
    late.trouble = lambda method: {"error": {"code": -32000, "message": "header not found"}}
    assert door.ask("eth_call", {}, "0x64") == "good"


def test_logs_come_from_one_that_has_all_blocks_of_the_range() -> None:
    late, good = Node("late", head=99), Node("good", head=100)
    door = Door(late, good)
    assert door.ask("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x63"}) == "late"
    assert door.ask("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x64"}) == "good"
    late.head = 100
    door.now += 2
    assert door.ask("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x64"}) == "late"


def test_one_that_claims_blocks_it_cannot_show_rests() -> None:
    liar, good = Node("liar", head=10**9), Node("good")
    door = Door(liar, good)
    assert int(door.ask("eth_blockNumber"), 16) == 10**9
    liar.head = 50
    assert door.ask("eth_getBlockByNumber", "0x60", False)["by"] == "good"
    asked = len(liar.asked)
    assert int(door.ask("eth_blockNumber"), 16) == 100
    assert len(liar.asked) == asked


@pytest.mark.parametrize("method", ["eth_getTransactionByHash", "eth_getTransactionReceipt"])
def test_what_one_endpoint_has_not_got_another_may_have(method: str) -> None:
    late, good = Node("late"), Node("good")
    late.trouble = good.trouble = lambda method: {
        "result": hex(CHAIN) if method == "eth_chainId" else None
    }
    door = Door(late, good)
    assert door.ask(method, "0x01") is None  # all say so
    good.trouble = None
    assert door.ask(method, "0x01") == "good"
    good.trouble = away
    with pytest.raises(ChainUnavailable) as caught:
        door.ask(method, "0x01")
    assert caught.value.details["endpoints"] == 1
    asked = len(good.asked)
    with pytest.raises(ChainUnavailable):
        door.ask(method, "0x01")
    assert len(good.asked) == asked  # it rests, and is not waited for


@pytest.mark.parametrize("heads", [(100, 101), (100,)])
def test_one_that_claims_a_huge_head_does_not_take_over(heads: tuple[int, ...]) -> None:
    honest = [Node(f"honest{head}", head) for head in heads]
    liar = Node("liar", head=10**9)
    door = Door(*honest, liar)
    for node in honest:
        door.ask("eth_blockNumber")
        node.trouble = away
    assert int(door.ask("eth_blockNumber"), 16) == 10**9  # nobody else answers
    for node in honest:
        node.trouble = None
    for _ in range(3):
        door.now += 2
        assert int(door.ask("eth_blockNumber"), 16) == heads[0]


def test_a_head_counts_for_nothing_when_it_is_put_to_rest_meanwhile() -> None:
    nodes = cast(list[HttpProvider], [Node("slow")])
    clock = itertools.count(1_000.0, 100.0).__next__  # what was noted is old at the next look
    answer = FailoverProvider(nodes, CHAIN, clock=clock).make_request(
        RPCEndpoint("eth_blockNumber"), []
    )
    assert answer["result"] == hex(100)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "slow down"}}'),
        (200, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "rate limit"}}'),
        (500, b"oops"),
        (200, b"<html>"),
        (200, b"[]"),
    ],
)
def test_refusals_to_serve_and_garbage_are_no_answers(status: int, body: bytes) -> None:
    with serve(lambda _: (status, body)) as provider, pytest.raises(ChainUnavailable):
        provider.make_request(RPCEndpoint("eth_call"), [])
