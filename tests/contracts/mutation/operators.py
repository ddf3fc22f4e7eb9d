"""What can be changed at a node of solc's syntax tree: the usual mutation operators for contracts.

Left out: events (tests of indexing see them), inline assembly (held to plain references by fuzz
tests), comments, names and strings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]

_OTHER = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "%": "*",
    "&": "|",
    "|": "&",
    "<<": ">>",
    ">>": "<<",
    "+=": "-=",
    "-=": "+=",
    "*=": "/=",
    "|=": "&=",
    "&=": "|=",
    "++": "--",
    "--": "++",
}


@dataclass(frozen=True)
class Change:
    """Bytes `start` to `end` of the source become `text`."""

    operator: str
    start: int
    end: int
    text: bytes


@dataclass(frozen=True)
class Source:
    """The bytes that a syntax tree's offsets count."""

    data: bytes

    def span(self, node: Node) -> tuple[int, int]:
        start, length, _ = (int(part) for part in node["src"].split(":"))
        return start, start + length

    def between(self, left: Node, right: Node) -> tuple[int, int]:
        return self.span(left)[1], self.span(right)[0]


def changes_at(node: Node, source: Source) -> Iterator[Change]:
    find = _FINDERS.get(node["nodeType"])
    if find is not None:
        yield from find(node, source)


def _condition(node: Node, source: Source) -> Iterator[Change]:
    span = source.span(node["condition"])
    yield Change("condition never holds", *span, b"false")
    if not _only_reverts(node["trueBody"]):
        yield Change("condition always holds", *span, b"true")


def _only_reverts(body: Node) -> bool:
    statements = body.get("statements", [body])
    return len(statements) == 1 and statements[0]["nodeType"] == "RevertStatement"


def _binary(node: Node, source: Source) -> Iterator[Change]:
    yield from _swapped(
        node["operator"], *source.between(node["leftExpression"], node["rightExpression"]), source
    )


def _assignment(node: Node, source: Source) -> Iterator[Change]:
    yield from _swapped(
        node["operator"], *source.between(node["leftHandSide"], node["rightHandSide"]), source
    )


def _swapped(operator: str, start: int, end: int, source: Source) -> Iterator[Change]:
    other = _OTHER.get(operator)
    text = source.data[start:end]
    if other is not None and text.count(operator.encode()) == 1:
        changed = text.replace(operator.encode(), other.encode())
        yield Change(f"{operator} becomes {other}", start, end, changed)


def _unary(node: Node, source: Source) -> Iterator[Change]:
    start, end = source.span(node)
    operand = source.data[slice(*source.span(node["subExpression"]))]
    if node["operator"] == "!":
        yield Change("! is dropped", start, end, operand)
    if node["operator"] in ("++", "--"):
        other = _OTHER[node["operator"]].encode()
        yield Change(f"{node['operator']} turns round", start, end, other + operand)


def _statement(node: Node, source: Source) -> Iterator[Change]:
    """An expression for its effect: an assignment, a call, a count."""
    start, end = source.span(node)
    end += source.data[end : end + 1] == b";"
    yield Change("statement is dropped", start, end, b"{}")


def _ternary(node: Node, source: Source) -> Iterator[Change]:
    left = source.data[slice(*source.span(node["trueExpression"]))]
    right = source.data[slice(*source.span(node["falseExpression"]))]
    yield Change("always the second", *source.span(node), right)
    yield Change("always the first", *source.span(node), left)


def _literal(node: Node, source: Source) -> Iterator[Change]:
    if node["kind"] == "bool":
        other = b"false" if node["value"] == "true" else b"true"
        yield Change(f"{node['value']} becomes {other.decode()}", *source.span(node), other)
    elif node["kind"] == "number" and node["value"].isdigit() and not node.get("subdenomination"):
        number = int(node["value"]) + 1
        yield Change(f"{node['value']} becomes {number}", *source.span(node), str(number).encode())


def _modifier(node: Node, source: Source) -> Iterator[Change]:
    if node.get("kind") == "modifierInvocation":
        yield Change("modifier is dropped", *source.span(node), b"")


_FINDERS: dict[str, Callable[[Node, Source], Iterator[Change]]] = {
    "IfStatement": _condition,
    "BinaryOperation": _binary,
    "Assignment": _assignment,
    "UnaryOperation": _unary,
    "ExpressionStatement": _statement,
    "Conditional": _ternary,
    "Literal": _literal,
    "ModifierInvocation": _modifier,
}
