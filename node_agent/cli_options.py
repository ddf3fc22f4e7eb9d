"""What the commands of `weal-node` share: options, and how a result is printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

ConfigFile = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="WEAL_NODE_CONFIG", help="The node's YAML file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else there.")]
DEFAULT_CONFIG = Path("node.yaml")


def show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2, default=str) + "\n")
        return
    for name, value in result.items():
        shown = json.dumps(value, default=str) if isinstance(value, list | dict) else value
        sys.stdout.write(f"{name.replace('_', ' ')}: {shown}\n")
