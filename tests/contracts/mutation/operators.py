"""What can be changed at a node of solc's syntax tree: the usual mutation operators for contracts.

Left out: events (tests of indexing see them), inline assembly (held to plain references by fuzz
tests), comments, names and strings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

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


Form = Literal["expression", "number", "statement", "modifier"]


@dataclass(frozen=True)
class Change:
    """Bytes `start` to `end` of the source become `text`; they are part of the expression or
    statement from `scope[0]` to `scope[1]`."""

    operator: str
    start: int
    end: int
    text: bytes
    scope: tuple[int, int]
    form: Form = "expression"


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
    yield Change("condition never holds", *span, b"false", span)
    if not _only_reverts(node["trueBody"]):
        yield Change("condition always holds", *span, b"true", span)


def _only_reverts(body: Node) -> bool:
    statements = body.get("statements", [body])
    return len(statements) == 1 and statements[0]["nodeType"] == "RevertStatement"


def _binary(node: Node, source: Source) -> Iterator[Change]:
    between = source.between(node["leftExpression"], node["rightExpression"])
    yield from _swapped(node, between, source)


def _assignment(node: Node, source: Source) -> Iterator[Change]:
    between = source.between(node["leftHandSide"], node["rightHandSide"])
    yield from _swapped(node, between, source)


def _swapped(node: Node, between: tuple[int, int], source: Source) -> Iterator[Change]:
    operator = node["operator"]
    other = _OTHER.get(operator)
    text = source.data[slice(*between)]
    if other is not None and text.count(operator.encode()) == 1:
        changed = text.replace(operator.encode(), other.encode())
        yield Change(f"{operator} becomes {other}", *between, changed, source.span(node))


def _unary(node: Node, source: Source) -> Iterator[Change]:
    start, end = source.span(node)
    operand = source.data[slice(*source.span(node["subExpression"]))]
    if node["operator"] == "!":
        yield Change("! is dropped", start, end, operand, (start, end))
    if node["operator"] in ("++", "--"):
        other = _OTHER[node["operator"]].encode()
        text = other + operand
        yield Change(f"{node['operator']} turns round", start, end, text, (start, end))


def _statement(node: Node, source: Source) -> Iterator[Change]:
    """An expression for its effect: an assignment, a call, a count."""
    start, end = source.span(node)
    end += source.data[end : end + 1] == b";"
    yield Change("statement is dropped", start, end, b"{}", (start, end), "statement")


def _ternary(node: Node, source: Source) -> Iterator[Change]:
    left = source.data[slice(*source.span(node["trueExpression"]))]
    right = source.data[slice(*source.span(node["falseExpression"]))]
    span = source.span(node)
    yield Change("always the second", *span, right, span)
    yield Change("always the first", *span, left, span)


def _literal(node: Node, source: Source) -> Iterator[Change]:
    span = source.span(node)
    if node["kind"] == "bool":
        other = b"false" if node["value"] == "true" else b"true"
        yield Change(f"{node['value']} becomes {other.decode()}", *span, other, span)
    elif node["kind"] == "number" and node["value"].isdigit() and not node.get("subdenomination"):
        number = int(node["value"]) + 1
        text = str(number).encode()
        yield Change(f"{node['value']} becomes {number}", *span, text, span, "number")


def _modifier(node: Node, source: Source) -> Iterator[Change]:
    if node.get("kind") == "modifierInvocation":
        span = source.span(node)
        yield Change("modifier is dropped", *span, b"", span, "modifier")


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
