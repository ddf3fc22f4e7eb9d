"""Where the contracts are on one chain (the addresses file), and the ABIs this package carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from eth_utils.address import is_address, to_checksum_address

from commonweal.errors import InvalidInput, NotFound
from commonweal.protocol.signing import Domain
from commonweal.protocol.types import Address

CONTRACTS = (
    "CommonwealToken",
    "AccessManager",
    "Parameters",
    "ProviderRegistry",
    "JobBoard",
    "ModelLedger",
    "Rounds",
    "Faults",
    "Appeals",
    "RoundLens",
)


class DeploymentNotFound(NotFound):
    code = "deployment-not-found"


class InvalidDeployment(InvalidInput):
    code = "invalid-deployment"


@dataclass(frozen=True, slots=True)
class Deployment:
    """`contracts`: address by name (`CONTRACTS`). Nothing happened before `deployed_block`."""

    chain_id: int
    deployed_block: int
    contracts: Mapping[str, Address]

    def __getitem__(self, name: str) -> Address:
        return self.contracts[name]

    @property
    def rounds_domain(self) -> Domain:
        return Domain(self.chain_id, self.contracts["Rounds"])

    @property
    def board_domain(self) -> Domain:
        return Domain(self.chain_id, self.contracts["JobBoard"])

    @property
    def appeals_domain(self) -> Domain:
        return Domain(self.chain_id, self.contracts["Appeals"])

    def save(self, path: Path) -> None:
        document = {
            "chain_id": self.chain_id,
            "deployed_block": self.deployed_block,
            "contracts": dict(self.contracts),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n")


def load_deployment(path: Path) -> Deployment:
    """Raises DeploymentNotFound, InvalidDeployment."""
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise DeploymentNotFound(f"there is no addresses file {path}", path=str(path)) from error
    try:
        return _parse(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is not an addresses file: {error}"
        raise InvalidDeployment(message, path=str(path)) from error


@cache
def load_artifact(name: str) -> dict[str, Any]:
    """`abi` and creation `bytecode` of a contract, as compiled when this package was made."""
    source = resources.files("commonweal.abi") / f"{name}.json"
    artifact: dict[str, Any] = json.loads(source.read_text())
    return artifact


def load_abi(name: str) -> list[dict[str, Any]]:
    abi: list[dict[str, Any]] = load_artifact(name)["abi"]
    return abi


def _parse(document: dict[str, Any]) -> Deployment:
    contracts = {name: _parse_address(document["contracts"][name]) for name in CONTRACTS}
    return Deployment(int(document["chain_id"]), int(document["deployed_block"]), contracts)


def _parse_address(text: str) -> Address:
    if not is_address(text):
        raise ValueError(f"{text!r} is not an address")
    return Address(to_checksum_address(text))
