from dataclasses import fields

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from commonweal.adapters.codec import (
    ContractReverted,
    InvalidCall,
    decode_log,
    decode_revert,
    event_topics,
    find_revert_data,
    function_codec,
    to_snake_case,
)
from commonweal.adapters.deployment import CONTRACTS, load_abi
from commonweal.protocol.events import (
    EVENT_TYPES,
    EventRef,
    MemberJoined,
    PhaseStarted,
    ProviderAnnounced,
)
from commonweal.protocol.types import Phase, Role

REF = EventRef(1, bytes(32), bytes(32), 0, 1_000)
PROVIDER = "0x" + "11" * 20


def error_data(signature: str, *values: object) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak(text=signature)[:4] + encode(types, values)


def test_every_event_of_the_protocol_is_in_the_abis_and_the_other_way_round():
    assert event_topics().keys() == EVENT_TYPES.keys()


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_field_of_an_event_has_its_place(name):
    """One that has none would stop everybody who follows the chain, at that block, for good."""
    abis = (abi for contract in CONTRACTS for abi in load_abi(contract))
    abi = next(abi for abi in abis if abi["type"] == "event" and abi["name"] == name)
    emitted = {to_snake_case(entry["name"]) for entry in abi["inputs"]}
    assert emitted == {field.name for field in fields(EVENT_TYPES[name])} - {"ref"}


def test_a_custom_error_shows_its_numbers():
    data = error_data("StakeTooLow(address,uint256,uint256)", PROVIDER, 3, 7)
    error = decode_revert(data)
    assert error.name == "StakeTooLow"
    assert error.arguments == {"provider": PROVIDER, "have": 3, "need": 7}
    assert error.message == f"StakeTooLow(provider={PROVIDER}, have=3, need=7)"
    assert error.details == {"error": "StakeTooLow", "arguments": error.arguments}


def test_standard_errors():
    assert decode_revert(error_data("Error(string)", "no")).message == "Error(message=no)"
    assert decode_revert(error_data("Panic(uint256)", 0x11)).arguments == {"code": 0x11}


def test_errors_nobody_knows():
    assert decode_revert(bytes.fromhex("deadbeef")).name == "0xdeadbeef"
    assert decode_revert(b"").name == ""
    assert isinstance(decode_revert(b""), ContractReverted)


@given(st.binary(max_size=100))
def test_broken_revert_data_never_raise(data):
    known = error_data("StakeTooLow(address,uint256,uint256)", PROVIDER, 3, 7)[:4]
    assert decode_revert(known + data).name == "StakeTooLow"
    decode_revert(data)


@pytest.mark.parametrize(
    "error",
    [
        {"code": 3, "message": "execution reverted", "data": "0xdeadbeef"},
        {"code": -32603, "data": {"message": "reverted", "data": "0xdeadbeef"}},
        {"code": -32015, "data": "Reverted 0xdeadbeef"},
        {"data": {"originalError": {"code": 3, "data": "0xdeadbeef"}}},
        {"data": {"error": {"data": {"data": "0xdeadbeef"}}}},
    ],
)
def test_revert_data_are_found_where_nodes_put_them(error):
    assert find_revert_data(error) == bytes.fromhex("deadbeef")


@pytest.mark.parametrize(
    "error",
    [None, {}, {"data": None}, {"data": {"message": "out of gas"}}, {"data": "nonsense"}, 7],
)
def test_other_errors_have_no_revert_data(error):
    assert find_revert_data(error) is None


def test_logs_become_events():
    topics = [event_topics()["MemberJoined"], *(value.to_bytes(32) for value in (7, 3))]
    topics.append(bytes(12) + bytes.fromhex("11" * 20))
    data = encode(["address", "uint8", "uint256"], ["0x" + "ab" * 20, 3, 5])
    event = decode_log(topics, data, REF)
    checksummed = "0x" + "aB" * 20
    assert isinstance(event, MemberJoined)
    assert (event.job, event.member, event.stake, event.ref) == (7, 3, 5, REF)
    assert event.roles is Role.TRAINER | Role.VALIDATOR
    assert event.operator.lower() == checksummed.lower()
    assert event.operator != event.operator.lower()


def test_enums_are_enums():
    topics = [event_topics()["PhaseStarted"], (1).to_bytes(32), (2).to_bytes(32)]
    event = decode_log(topics, encode(["uint8", "uint64"], [3, 99]), REF)
    assert isinstance(event, PhaseStarted)
    assert (event.phase, event.ends_at) == (Phase.BALLOT_COMMIT, 99)


@pytest.mark.parametrize(
    ("endpoint", "read"),
    [(b"http://\xff", "http://\ufffd"), (b"a\0b", "a\ufffdb"), ("http://ä".encode(), "http://ä")],
)
def test_a_string_may_hold_any_bytes(endpoint, read):
    """Contracts take them, and one that cannot be read would stop whoever follows the chain."""
    topics = [event_topics()["ProviderAnnounced"], bytes(12) + bytes.fromhex("11" * 20)]
    event = decode_log(topics, encode(["bytes", "bytes32"], [endpoint, bytes(32)]), REF)
    assert isinstance(event, ProviderAnnounced)
    assert event.endpoint == read
    data = keccak(text="Error(string)")[:4] + encode(["bytes"], [endpoint])
    assert decode_revert(data).arguments == {"message": read}


def test_strange_logs_are_passed_over():
    assert decode_log([keccak(text="Transfer(address,address,uint256)")], b"", REF) is None
    assert decode_log([], b"", REF) is None


@pytest.mark.parametrize(
    ("contract", "function", "args"),
    [
        ("JobBoard", "noSuchFunction", ()),
        ("JobBoard", "jobOf", ()),
        ("JobBoard", "jobOf", (-1,)),
        ("JobBoard", "refreshOperator", (1, "nobody")),
        ("Rounds", "advance", (2**256,)),
    ],
)
def test_calls_that_do_not_fit_are_refused(contract, function, args):
    with pytest.raises(InvalidCall) as raised:
        function_codec(contract, function).encode(args)
    assert raised.value.code == "invalid-call"


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("endsAt", "ends_at"),
        ("now_", "now"),
        ("validatorShareBps", "validator_share_bps"),
        ("r", "r"),
    ],
)
def test_names(name, snake):
    assert to_snake_case(name) == snake
