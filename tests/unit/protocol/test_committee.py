from collections import Counter

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from protocol_vectors import load_vectors, unhex

from commonweal.protocol.committee import compute_seed, compute_weight, draw_committee
from commonweal.protocol.types import Address, Wei

VECTORS = load_vectors("draw")


def test_seed():
    case = VECTORS["seed"]
    block, rounds = unhex(case["block_hash"]), Address(case["rounds"])
    assert compute_seed(block, rounds, case["job"], case["round"]) == unhex(case["seed"])


@pytest.mark.parametrize(
    "case", VECTORS["cases"], ids=lambda case: f"{case['name']}, {case['size']}"
)
def test_draws(case):
    weights = [compute_weight(Wei(int(stake))) for stake in case["stakes"]]
    validators = list(zip(case["members"], weights, strict=True))
    drawn = draw_committee(validators, case["size"], unhex(case["seed"]))
    assert drawn == tuple(case["committee"])


@given(
    st.dictionaries(st.integers(0, 65_535), st.integers(0, 2**53 - 1), max_size=40),
    st.integers(1, 15),
    st.binary(min_size=32, max_size=32),
)
def test_seats_are_distinct_members_with_weight(weights, size, seed):
    drawn = draw_committee(sorted(weights.items()), size, seed)
    able = {member for member, weight in weights.items() if weight}
    assert len(set(drawn)) == len(drawn) == min(size, len(able))
    assert able.issuperset(drawn)


def test_chances_follow_stake():
    """2,000 first seats among weights 1 : 2 : 7; three standard deviations are below 65."""
    seats = Counter(
        draw_committee([(0, 1), (1, 2), (2, 7)], 1, keccak(text=str(i)))[0] for i in range(2_000)
    )
    assert [abs(seats[i] - want) < 65 for i, want in enumerate((200, 400, 1_400))] == [True] * 3


def test_less_than_a_gwei_weighs_nothing():
    assert compute_weight(Wei(10**9 - 1)) == 0
    assert compute_weight(Wei(2 * 10**9 - 1)) == 1
