"""Puts a statement into each branch, so that a tool that counts statements counts branches.

A branch is a side of an `if`; an `else` that is not written is one too. Left out: inline assembly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.contracts.mutation.generator import Node, children_of
from tests.contracts.mutation.operators import Source

_MARK = re.compile(rb"true; // branch (\d+)")


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


def mark_branches(file: str, tree: Node, data: bytes) -> Marked:
    source = Source(data)
    branches: list[Branch] = []
    inserts: list[tuple[int, bytes]] = []
    for node in _ifs(tree):
        _mark(file, node, source, branches, inserts)
    text = _insert(data, inserts)
    found = {int(mark[1]): text.count(b"\n", 0, mark.start()) + 1 for mark in _MARK.finditer(text)}
    return Marked(text, tuple(branches), tuple(found[at] for at in range(len(branches))))


def _ifs(node: Node) -> Iterator[Node]:
    """Inner ones first: their closing braces come first where two end together."""
    for child in children_of(node):
        yield from _ifs(child)
    if node["nodeType"] == "IfStatement":
        yield node


def _mark(
    file: str, node: Node, source: Source, branches: list[Branch], inserts: list[tuple[int, bytes]]
) -> None:
    start, end = source.span(node["condition"])
    condition = " ".join(source.data[start:end].decode().split())
    line = source.data.count(b"\n", 0, start) + 1

    def open_(side: bool) -> bytes:
        branches.append(Branch(file, line, condition, side))
        return b"{\ntrue; // branch %d\n" % (len(branches) - 1)

    first, last = _span(node["trueBody"], source)
    inserts += [(first, open_(True)), (last, b"\n}")]
    if node.get("falseBody"):
        first, last = _span(node["falseBody"], source)
        inserts += [(first, open_(False)), (last, b"\n}")]
    else:
        inserts.append((last, b" else " + open_(False) + b"}"))


def _span(body: Node, source: Source) -> tuple[int, int]:
    start, end = source.span(body)
    return start, end + (source.data[end : end + 1] == b";")


def _insert(data: bytes, inserts: list[tuple[int, bytes]]) -> bytes:
    parts, at = [], 0
    for place, text in sorted(inserts, key=lambda insert: insert[0]):  # stable
        parts += [data[at:place], text]
        at = place
    return b"".join([*parts, data[at:]])
