"""Copies ABIs and bytecode from Hardhat's artifacts into the package: deploying needs no Node."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from commonweal.adapters.deployment import CONTRACTS

PACKAGE = Path(__file__).parent


def read_artifact(artifacts: Path, name: str) -> dict[str, Any]:
    """`abi` and `bytecode` of one compiled contract. Raises FileNotFoundError."""
    for path in sorted(artifacts.rglob(f"{name}.json")):
        document = json.loads(path.read_text())
        return {"abi": document["abi"], "bytecode": document["bytecode"]}
    raise FileNotFoundError(f"{artifacts} has no {name}.json; run `npx hardhat compile`")


def main(project_dir: Path) -> None:
    for name in CONTRACTS:
        artifact = read_artifact(project_dir / "artifacts", name)
        text = json.dumps(artifact, separators=(",", ":"))
        (PACKAGE / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
