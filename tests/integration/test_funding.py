"""Giving an address tokens and gas money, on a real node."""

from __future__ import annotations

import pytest
from contracts_stage import ETHER, Stage
from eth_account import Account

from commonweal.funding import TooLittleMoney, build_gift, give
from commonweal.protocol.types import Address

pytestmark = pytest.mark.integration


def coin_of(stage: Stage, address: Address) -> int:
    return stage.reader.web3.eth.get_balance(address)  # type: ignore[arg-type]


def test_both_arrive_to_the_wei(stage: Stage) -> None:
    giver, to = stage.account(tokens=5 * ETHER), Account.create().address
    sent = give(stage.reader, giver, build_gift(to.lower(), tokens=3, eth=2))
    assert set(sent) == {"tokens", "eth"}
    assert stage.balance(to) == 3 * ETHER
    assert coin_of(stage, to) == 2 * ETHER
    assert stage.balance(giver.address) == 2 * ETHER


def test_only_one_of_them(stage: Stage) -> None:
    giver, to = stage.account(), Account.create().address
    assert set(give(stage.reader, giver, build_gift(to, tokens=0, eth=1))) == {"eth"}
    assert (stage.balance(to), coin_of(stage, to)) == (0, ETHER)


def test_nothing_is_sent_when_one_of_them_is_too_much(stage: Stage) -> None:
    giver, to = stage.account(tokens=ETHER), Account.create().address
    with pytest.raises(TooLittleMoney) as caught:
        give(stage.reader, giver, build_gift(to, tokens=1, eth=1_000_000))
    assert caught.value.details["unit"] == "ETH"
    assert caught.value.details["need_wei"] == 1_000_000 * ETHER
    assert (stage.balance(to), coin_of(stage, to)) == (0, 0)
