"""All mutants of a contract, in the order of its source; the same ones every time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .operators import Change, Node, Source, changes_at

_SKIPPED = {
    "InlineAssembly",
    "EmitStatement",
    "EventDefinition",
    "ErrorDefinition",
    "UsingForDirective",
}


@dataclass(frozen=True)
class Mutation:
    """A change of one contract, named so that it is found again after the lines around it moved."""

    file: str
    function: str
    line: int
    before: str
    after: str
    operator: str
    occurrence: int  # among those of this function that read the same
    change: Change

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        return self.file, self.function, self.before, self.after, self.occurrence

    def apply(self, source: bytes) -> bytes:
        return source[: self.change.start] + self.change.text + source[self.change.end :]


def read_trees(files: Sequence[str], project: Path) -> dict[str, Node]:
    script = Path(__file__).with_name("ast.mjs")
    done = subprocess.run(
        ["node", str(script), *files], cwd=project, capture_output=True, text=True, check=True
    )
    trees: dict[str, Node] = json.loads(done.stdout)
    return trees


def generate(file: str, tree: Node, data: bytes) -> list[Mutation]:
    seen: dict[tuple[str, str, str], int] = {}
    mutations = []
    for function, change in _walk(tree, Source(data), ""):
        before, after = _line_around(data, change)
        place = function, before, after
        seen[place] = seen.get(place, 0) + 1
        line = data.count(b"\n", 0, change.start) + 1
        mutations.append(
            Mutation(file, function, line, before, after, change.operator, seen[place], change)
        )
    return mutations


def _walk(node: Node, source: Source, function: str) -> Iterator[tuple[str, Change]]:
    kind = node["nodeType"]
    if kind in _SKIPPED or (kind == "VariableDeclaration" and node.get("constant")):
        return
    if kind in ("FunctionDefinition", "ModifierDefinition"):
        if not node.get("body"):
            return
        function = node["name"] or node["kind"]
    if function:
        for change in changes_at(node, source):
            yield function, change
    for child in children_of(node) if kind != "ForStatement" else [node["condition"], node["body"]]:
        yield from _walk(child, source, function)


def children_of(node: Node) -> Iterator[Node]:
    for value in node.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and "nodeType" in each:
                yield each


def _line_around(data: bytes, change: Change) -> tuple[str, str]:
    """What is changed and what it becomes, with the rest of its lines, to be read."""
    first = data.rfind(b"\n", 0, change.start) + 1
    last = data.find(b"\n", change.end)
    head, tail = data[first : change.start], data[change.end : last]
    before = head + data[change.start : change.end] + tail
    return _squeeze(before), _squeeze(head + change.text + tail)


def _squeeze(text: bytes) -> str:
    return " ".join(text.decode().split())
