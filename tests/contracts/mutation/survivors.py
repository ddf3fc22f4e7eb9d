"""Mutants that no test can or need kill, each with its reason (survivors.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .generator import Mutation

Key = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class Explanation:
    key: Key
    reason: str


def read_explanations(path: Path) -> list[Explanation]:
    entries = tomllib.loads(path.read_text()).get("survivor", [])
    return [_read(entry) for entry in entries]


def find_stale(explanations: Iterable[Explanation], mutations: Iterable[Mutation]) -> list[str]:
    """Explanations that match no mutant any more, a line each."""
    keys = {mutation.key for mutation in mutations}
    return [
        f"explains nothing: {each.key[0]} {each.key[1]}: {each.key[3]}"
        for each in explanations
        if each.key not in keys
    ]


def _read(entry: dict[str, str | int]) -> Explanation:
    file, function, before, after = (
        str(entry[name]) for name in ("file", "function", "before", "after")
    )
    key = file, function, before, after, int(entry.get("occurrence", 1))
    reason = str(entry["reason"]).strip()
    if not reason:
        raise ValueError(f"no reason: {key}")
    return Explanation(key, reason)
