"""The core contracts, and the tests that know each best: these run first, then all of them."""

from __future__ import annotations

from pathlib import Path

_ROUNDS = ("Rounds", "RoundFailures", "RoundRefusals")
_BOARD = ("JobBoard", "Membership", "Rewards")
_NEAREST = {
    "contracts/Appeals.sol": ("Appeals", "Juries"),
    "contracts/Ballots.sol": _ROUNDS,
    "contracts/Faults.sol": ("Faults", "Operators"),
    "contracts/JobBoard.sol": _BOARD,
    "contracts/JobStore.sol": _BOARD,
    "contracts/Juries.sol": ("Juries", "Appeals"),
    "contracts/Membership.sol": ("Membership", "Rosters"),
    "contracts/ModelLedger.sol": _ROUNDS,
    "contracts/Parameters.sol": ("Parameters", "Governance"),
    "contracts/ProviderRegistry.sol": ("ProviderRegistry", "Faults"),
    "contracts/Rewards.sol": ("Rewards", "Rounds"),
    "contracts/RoundProgress.sol": _ROUNDS,
    "contracts/RoundStore.sol": (*_ROUNDS, "Rosters", "ManyMembers"),
    "contracts/Settlement.sol": _ROUNDS,
    "contracts/Updates.sol": (*_ROUNDS, "Rosters"),
    "contracts/libraries/Committees.sol": ("Rounds", "Appeals"),
    "contracts/libraries/CompactSignatures.sol": _ROUNDS,
    "contracts/libraries/Headers.sol": ("Rounds",),
    "contracts/libraries/JobRules.sol": ("JobBoard",),
    "contracts/libraries/Payments.sol": ("Rounds", "Tally"),
    "contracts/libraries/RoundState.sol": _ROUNDS,
    "contracts/libraries/SumTree.sol": ("Membership", "Rounds"),
    "contracts/libraries/Tally.sol": ("Rounds",),
    "contracts/libraries/TokenTransfer.sol": ("Hostile",),
    "contracts/libraries/VerdictTree.sol": ("Faults", "Appeals"),
}
FILES = tuple(_NEAREST)


def nearest_tests(file: str) -> tuple[str, ...]:
    return tuple(f"tests/contracts/{name}.t.sol" for name in _NEAREST[file])


def all_tests(project: Path) -> tuple[str, ...]:
    found = sorted((project / "tests/contracts").glob("*.t.sol"))
    invariants = project / "tests/contracts/invariants/Invariants.t.sol"
    return tuple(str(path.relative_to(project)) for path in (*found, invariants))
