"""Python and Solidity, the same random cases, the same answers.

WEAL_TEST_CASES=10000 for the long run (`make differential`), WEAL_TEST_SEED for another one.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from differential_cases import COMPARISONS, Comparison
from solidity_harness import Harness

from commonweal.adapters.local_chain import LocalChain

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3_600)]

CASES = int(os.environ.get("WEAL_TEST_CASES", "200"))
SEED = os.environ.get("WEAL_TEST_SEED", "commonweal")
MIX = 10  # cases made and compared at a time: memory stays small


@pytest.fixture(scope="module")
def harness(local_chain: LocalChain) -> Harness:
    return Harness(local_chain.rpc_url)


@pytest.mark.parametrize("topic", COMPARISONS)
def test_both_languages_agree(harness: Harness, topic: str) -> None:
    comparison, chance = COMPARISONS[topic], Random(f"{SEED} {topic}")
    for _ in range(0, CASES, MIX * comparison.per_call):
        _compare(harness, comparison, chance)


def _compare(harness: Harness, comparison: Comparison, chance: Random) -> None:
    count = min(CASES, MIX * comparison.per_call)
    made = [comparison.make(chance, harness.domain) for _ in range(count)]
    cases = [case for case, _ in made]
    answers = harness.ask(comparison.function, cases, comparison.per_call)
    for (case, expected), answer in zip(made, answers, strict=True):
        assert _plain(answer) == _plain(expected), case


def _plain(value: object) -> object:
    """Lists and tuples alike."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
