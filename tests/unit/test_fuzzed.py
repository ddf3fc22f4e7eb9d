"""Every external function of the contracts is met by a fuzz test or an invariant's handler."""

from pathlib import Path

import pytest

from tests.contracts.fuzzed import find_calls, find_unmet, read_abi, read_functions

PROJECT = Path(__file__).parents[2]
# AccessManager is deployed as OpenZeppelin wrote it; Governance.t.sol tests how it is set up.
ABIS = [
    path for path in sorted(PROJECT.glob("commonweal/abi/*.json")) if path.stem != "AccessManager"
]
COUNT = """contract CountTest {
    function testFuzz_adds(uint256 a) public { raise(a); }
    function test_resets() public { counter.reset(); }
    function raise(uint256 by) private { if (by != 0) { counter.add(by); } }
}
"""
ABI: list[dict[str, object]] = [
    {"type": "function", "name": name, "inputs": inputs, "stateMutability": kind}
    for name, inputs, kind in [
        ("add", [{}], "nonpayable"),
        ("reset", [], "nonpayable"),
        ("owner", [], "view"),
        ("at", [{}], "view"),
    ]
]


def test_there_are_contracts() -> None:
    assert {"Rounds", "JobBoard", "ProviderRegistry", "Faults", "Appeals"} <= {
        path.stem for path in ABIS
    }


@pytest.mark.parametrize("path", ABIS, ids=lambda path: path.stem)
def test_every_function_is_met(path: Path) -> None:
    calls = find_calls(read_functions(PROJECT / "tests/contracts"))
    assert find_unmet(read_abi(path), calls) == []


def test_a_function_that_only_a_fixed_test_calls_is_told(tmp_path: Path) -> None:
    (tmp_path / "Count.t.sol").write_text(COUNT)
    assert find_unmet(ABI, find_calls(read_functions(tmp_path))) == ["at", "reset"]


def test_a_handler_meets_what_it_calls(tmp_path: Path) -> None:
    (tmp_path / "invariants").mkdir()
    source = "contract Acts { function act() external { counter.reset(); counter.at(1); } }"
    (tmp_path / "invariants/Acts.sol").write_text(source)
    assert find_unmet(ABI, find_calls(read_functions(tmp_path))) == ["add"]


def test_a_source_that_breaks_off_is_told(tmp_path: Path) -> None:
    (tmp_path / "Count.t.sol").write_text(COUNT.rstrip()[:-20])
    with pytest.raises(ValueError, match="without an end"):
        read_functions(tmp_path)
