"""The documentation keeps up with the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonweal.adapters.deployment import CONTRACTS, load_abi

DOCS = Path(__file__).parents[2] / "docs"
IMMUTABLES = {"appeals", "board", "faults", "ledger", "parameters", "registry", "rounds", "token"}
INHERITED = {"authority", "eip712Domain", "isConsumingScheduledOp"}


@pytest.mark.parametrize("name", sorted(set(CONTRACTS) - {"CommonwealToken", "AccessManager"}))
def test_every_function_of_a_contract_is_described(name: str) -> None:
    text = (DOCS / "contracts.md").read_text()
    functions = {entry["name"] for entry in load_abi(name) if entry["type"] == "function"}
    described = {f for f in functions if f"`{f}" in text}
    assert functions - described <= IMMUTABLES | INHERITED
