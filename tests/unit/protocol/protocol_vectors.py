"""Loads the JSON vectors that the tests of both languages share."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[2] / "vectors"


@cache
def load_vectors(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return document


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
