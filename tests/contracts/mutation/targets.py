"""The core contracts, and the tests that know each best: these run first, then all of them."""

from __future__ import annotations

import re
from functools import cache
from os.path import normpath
from pathlib import Path

PROJECT = Path(__file__).parents[3]
TESTS = PROJECT / "tests/contracts"
DEPLOYED = (
    "Appeals",
    "Faults",
    "JobBoard",
    "ModelLedger",
    "Parameters",
    "ProviderRegistry",
    "RoundLens",
    "Rounds",
)

_ROUNDS = ("Rounds", "RoundFailures", "RoundRefusals", "Thresholds")
_BOARD = ("JobBoard", "Membership", "Rewards", "Governance", "Hostile")
_NEAREST = {
    "contracts/Appeals.sol": ("Appeals", "Bonds", "Juries", "Verdicts", "AppealReentry"),
    "contracts/Ballots.sol": (*_ROUNDS, "ManyJudges"),
    "contracts/Faults.sol": ("Faults", "Operators", "Appeals"),
    "contracts/JobBoard.sol": _BOARD,
    "contracts/JobStore.sol": _BOARD,
    "contracts/Juries.sol": ("Juries", "Jurors", "Appeals"),
    "contracts/Membership.sol": ("Membership", "ManyPages", "Rosters"),
    "contracts/ModelLedger.sol": ("Verdicts", *_ROUNDS),
    "contracts/Parameters.sol": ("Parameters", "Governance"),
    "contracts/ProviderRegistry.sol": ("ProviderRegistry", "Appeals", "Strangers", "Hostile"),
    "contracts/Rewards.sol": ("Rewards", "Rounds", "Hostile"),
    "contracts/RoundProgress.sol": (*_ROUNDS, "Appeals"),
    "contracts/RoundStore.sol": (*_ROUNDS, "Rosters", "ManyMembers"),
    "contracts/Settlement.sol": (*_ROUNDS, "ManyMembers", "Appeals"),
    "contracts/Updates.sol": (*_ROUNDS, "Rosters"),
    "contracts/libraries/Committees.sol": ("Rounds", "ManyJudges", "Appeals"),
    "contracts/libraries/CompactSignatures.sol": _ROUNDS,
    "contracts/libraries/Headers.sol": ("Rounds",),
    "contracts/libraries/JobRules.sol": ("JobBoard",),
    "contracts/libraries/Payments.sol": ("Rounds", "Views", "ManyJudges"),
    "contracts/libraries/RoundState.sol": _ROUNDS,
    "contracts/libraries/SumTree.sol": ("Rounds", "Membership", "Juries"),
    "contracts/libraries/Tally.sol": ("Rounds", "RoundTallies"),
    "contracts/libraries/TokenTransfer.sol": ("Hostile", "Nothing", "ProviderRegistry"),
    "contracts/libraries/VerdictTree.sol": ("Faults", "Appeals", "ManyJudges"),
    "contracts/Rounds.sol": ("Views", "ManyMembers", "Juries", *_ROUNDS),
    "contracts/RoundLens.sol": ("Lens", *_ROUNDS),
    "contracts/libraries/Bitmaps.sol": (*_ROUNDS, "ManyMembers"),
    "contracts/libraries/CodePages.sol": ("Rosters", "Membership"),
    "contracts/libraries/Commitments.sol": _ROUNDS,
    "contracts/libraries/Lanes.sol": (*_ROUNDS, "RoundTallies"),
    "contracts/libraries/Packed.sol": _ROUNDS,
}
FILES = tuple(_NEAREST)


# These compile what they test into themselves, so that they see no mutant.
_BLIND = ("Bitmaps", "SumTree", "Tally", "Token")
_IMPORT = re.compile(r'^import [^;]*?"(\.[^"]+)";', re.MULTILINE)


def seeing_tests(file: str) -> tuple[str, ...]:
    """Every test file that may notice a mutant of `file`, the nearest first."""
    every = (path.name.removesuffix(".t.sol") for path in sorted(TESTS.glob("*.t.sol")))
    others = (f"tests/contracts/{name}.t.sol" for name in every if name not in _BLIND)
    return tuple(dict.fromkeys([*nearest_tests(file), *others]))


def nearest_tests(file: str) -> tuple[str, ...]:
    return tuple(f"tests/contracts/{name}.t.sol" for name in _NEAREST[file] if name not in _BLIND)


@cache
def affected(file: str) -> tuple[str, ...]:
    """The deployed contracts that contain code of `file`."""
    return tuple(name for name in DEPLOYED if file in _closure(f"contracts/{name}.sol"))


@cache
def _closure(file: str) -> frozenset[str]:
    text = (PROJECT / file).read_text()
    nexts = [normpath(Path(file).parent / name) for name in _IMPORT.findall(text)]
    return frozenset([file]).union(*(_closure(name) for name in nexts))
