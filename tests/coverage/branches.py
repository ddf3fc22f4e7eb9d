"""Puts each branch on a line of its own, so that a tool that counts lines counts branches.

A branch is a side of an `if`; an `else` that is not written is one too. Left out: inline assembly.
Where a branch has no statement of its own to be counted it is given one that does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.contracts.mutation.generator import Node, children_of
from tests.contracts.mutation.operators import Source

_MARK = re.compile(rb"// branch (\d+)\n")
_LEAVES = {"Return", "RevertStatement", "Continue", "Break"}
_COUNTED = _LEAVES | {
    "EmitStatement",
    "ExpressionStatement",
    "IfStatement",
    "VariableDeclarationStatement",
}


@dataclass(frozen=True)
class Branch:
    file: str
    line: int
    condition: str
    side: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.condition}  never {str(self.side).lower()}"


@dataclass(frozen=True)
class Marked:
    """`lines`: where in `text` each of `branches` is, counted from 1."""

    text: bytes
    branches: tuple[Branch, ...]
    lines: tuple[int, ...]


class Marker:
    """Collects the branches of one file, and what to insert for them."""

    def __init__(self, file: str, data: bytes) -> None:
        self.file, self.source = file, Source(data)
        self.branches: list[Branch] = []
        self.inserts: list[tuple[int, bytes]] = []

    def mark(self, node: Node, following: Node | None) -> None:
        """`following`: the statement after this `if` in its block."""
        body, other = node["trueBody"], node.get("falseBody")
        self._mark_body(body, self._add(node, True))
        mark = self._add(node, False)
        if other:
            self._mark_body(other, mark)
        elif following and following["nodeType"] in _COUNTED and _leaves(body):
            self.inserts.append((self._span(following)[0], mark))
        else:
            self.inserts.append((self._span(body)[1], b" else {" + mark + b"true;\n}"))

    def _add(self, node: Node, side: bool) -> bytes:
        start, end = self.source.span(node["condition"])
        condition = " ".join(self.source.data[start:end].decode().split())
        line = self.source.data.count(b"\n", 0, start) + 1
        self.branches.append(Branch(self.file, line, condition, side))
        return b" // branch %d\n" % (len(self.branches) - 1)

    def _mark_body(self, body: Node, mark: bytes) -> None:
        statements = _statements(body)
        if statements and statements[0]["nodeType"] in _COUNTED:
            self.inserts.append((self._span(statements[0])[0], mark))
            return
        start, end = self._span(body)
        self.inserts += [(start, b"{" + mark + b"true;\n"), (end, b"\n}")]

    def _span(self, node: Node) -> tuple[int, int]:
        start, end = self.source.span(node)
        return start, end + (self.source.data[end : end + 1] == b";")


def mark_branches(file: str, tree: Node, data: bytes) -> Marked:
    marker = Marker(file, data)
    for node, following in _ifs(tree):
        marker.mark(node, following)
    text = _insert(data, marker.inserts)
    found = {int(mark[1]): text.count(b"\n", 0, mark.end()) + 1 for mark in _MARK.finditer(text)}
    branches = tuple(marker.branches)
    return Marked(text, branches, tuple(found[at] for at in range(len(branches))))


def _ifs(node: Node, following: Node | None = None) -> Iterator[tuple[Node, Node | None]]:
    """Inner ones first: their closing braces come first where two end together."""
    after = _followers(node)
    for child in children_of(node):
        yield from _ifs(child, after.get(child.get("id")))
    if node["nodeType"] == "IfStatement":
        yield node, following


def _followers(node: Node) -> dict[int | None, Node]:
    statements = _statements(node)
    return {one["id"]: other for one, other in pairwise(statements)}


def _statements(body: Node) -> Sequence[Node]:
    return body.get("statements") or [] if body["nodeType"] == "Block" else [body]


def _leaves(body: Node) -> bool:
    statements = _statements(body)
    return bool(statements) and statements[-1]["nodeType"] in _LEAVES


def _insert(data: bytes, inserts: list[tuple[int, bytes]]) -> bytes:
    parts, at = [], 0
    for place, text in sorted(inserts, key=lambda insert: insert[0]):  # stable
        parts += [data[at:place], text]
        at = place
    return b"".join([*parts, data[at:]])
