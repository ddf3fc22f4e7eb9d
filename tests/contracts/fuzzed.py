"""Which functions of the contracts a fuzz test or an invariant's handler calls, by their text.

A fuzz test is a test with parameters. What it calls through helpers of the test sources counts too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_HEAD = re.compile(r"function (\w+)\(([^)]*)\)([^{};]*)\{")
_CALL = re.compile(r"\.(\w+)\b")
_HELPER = re.compile(r"(?<![.\w])(\w+)\(")


@dataclass(frozen=True)
class Function:
    name: str
    parameters: str
    modifiers: str
    body: str
    is_handler: bool  # stands among the invariants' handlers


def find_unmet(abi: Iterable[dict[str, object]], calls: frozenset[str]) -> list[str]:
    """Names of the functions that nothing fuzzed calls. A view without arguments offers nothing to
    fuzz, so it is left out."""
    return sorted(
        str(entry["name"])
        for entry in abi
        if entry["type"] == "function"
        and (entry["inputs"] or entry["stateMutability"] not in ("view", "pure"))
        and entry["name"] not in calls
    )


def find_calls(functions: Iterable[Function]) -> frozenset[str]:
    """Names behind a dot in fuzz tests, handlers, and the helpers that these reach."""
    known: dict[str, list[Function]] = {}
    for function in functions:
        known.setdefault(function.name, []).append(function)
    waiting = [name for name, same in known.items() if any(map(_is_fuzzed, same))]
    reached: set[str] = set()
    calls: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for function in known[name]:
            calls.update(_CALL.findall(function.body))
            waiting += [each for each in _HELPER.findall(function.body) if each in known]
    return frozenset(calls)


def read_functions(folder: Path) -> list[Function]:
    """Of all Solidity sources below `folder`."""
    return [
        function
        for path in sorted(folder.rglob("*.sol"))
        for function in _functions_in(path.read_text(), "invariants" in path.parts)
    ]


def read_abi(path: Path) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = json.loads(path.read_text())["abi"]
    return entries


def _is_fuzzed(function: Function) -> bool:
    if function.is_handler:
        return "public" in function.modifiers or "external" in function.modifiers
    return function.name.startswith("test") and bool(function.parameters.strip())


def _functions_in(text: str, is_handler: bool) -> Iterator[Function]:
    for head in _HEAD.finditer(text):
        body = text[head.end() : _end_of(text, head.end())]
        yield Function(head[1], head[2], head[3], body, is_handler)


def _end_of(text: str, start: int) -> int:
    depth = 1
    for place in range(start, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return place
    raise ValueError(f"a function without an end, from character {start} on")
