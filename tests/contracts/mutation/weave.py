"""All mutants of a source in one text, each behind a switch, so that it is compiled once for all.

An expression E with the mutant E' becomes `(mutantIsOn(7) ? (E') : E)`, a statement likewise. What
is inside E may hold further mutants; what is inside E' holds none, so the text grows with the depth
of the nesting only. Known as mutant schemata (Untch, Offutt and Harrold 1993).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .operators import Change

Scope = tuple[int, int]


@dataclass(frozen=True)
class Woven:
    """`places`: where in `text` each mutant's alternative and its original stand. `numbers`: the
    mutants of literals, which a switch makes uint256. `statements`: those that drop one."""

    text: bytes
    places: Mapping[int, Scope]
    numbers: frozenset[int]
    statements: frozenset[int]

    def culprits(self, wrong: Scope) -> set[int]:
        """Which mutants to leave out for a type error there: literals in it, or else the mutant
        with the smallest place around it."""
        literals = {n for n in self.numbers if _is_in(self.places[n], wrong)}
        at = wrong[0]
        around = [(end - start, n) for n, (start, end) in self.places.items() if start <= at < end]
        return literals or {n for _, n in sorted(around)[:1]}

    def unassigned(self, at: int) -> set[int]:
        """Which statement to keep so that the storage pointer declared at `at` is assigned."""
        after = [(self.places[n], n) for n in self.statements if self.places[n][0] >= at]
        return {n for _, n in sorted(after)[:1]}


@dataclass
class _Writer:
    source: bytes
    scopes: list[Scope]  # outer before inner
    mutants: Mapping[Scope, Sequence[tuple[int, Change]]]
    out: bytearray = field(default_factory=bytearray)
    places: dict[int, Scope] = field(default_factory=dict)

    def write(self, start: int, end: int, within: Sequence[Scope]) -> None:
        """The source from `start` to `end`; `within`: the scopes there."""
        for outer, inner in _tops(within):
            self.out += self.source[start : outer[0]]
            self._write_scope(outer, list(self.mutants[outer]), inner)
            start = outer[1]
        self.out += self.source[start:end]

    def _write_scope(
        self, scope: Scope, left: Sequence[tuple[int, Change]], inner: Sequence[Scope]
    ) -> None:
        if not left:
            self.write(*scope, inner)
            return
        (number, change), rest = left[0], left[1:]
        begun = len(self.out)
        opening, middle, closing = _frame(number, change)
        self.out += opening + self._mutated(change) + middle
        if change.form == "number":
            self.out += b"uint256("
        self._write_scope(scope, rest, inner)
        self.out += b")" * (change.form == "number") + closing
        self.places[number] = begun, len(self.out)

    def _mutated(self, change: Change) -> bytes:
        before = self.source[change.scope[0] : change.start]
        return before + change.text + self.source[change.end : change.scope[1]]


def weave(source: bytes, mutants: Mapping[int, Change], switch: str) -> Woven:
    """`switch`: the path from which `mutantIsOn` is imported. Modifiers cannot be woven."""
    by_scope: dict[Scope, list[tuple[int, Change]]] = {}
    for number, change in mutants.items():
        by_scope.setdefault(change.scope, []).append((number, change))
    scopes = sorted(by_scope, key=lambda scope: (scope[0], -scope[1]))
    writer = _Writer(source, scopes, by_scope)
    head = source.index(b"\n", source.index(b"pragma ")) + 1
    writer.out += source[:head] + f'import {{mutantIsOn}} from "{switch}";\n'.encode()
    writer.write(head, len(source), scopes)
    numbers = frozenset(n for n, change in mutants.items() if change.form == "number")
    statements = frozenset(n for n, change in mutants.items() if change.form == "statement")
    return Woven(bytes(writer.out), writer.places, numbers, statements)


def _is_in(inner: Scope, outer: Scope) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _frame(number: int, change: Change) -> tuple[bytes, bytes, bytes]:
    condition = f"mutantIsOn({number})".encode()
    if change.form == "statement":
        return b"{ if (" + condition + b") ", b" else { ", b" } }"
    cast = b"uint256(" if change.form == "number" else b"("
    return b"(" + condition + b" ? " + cast, b") : ", b")"


def _tops(scopes: Sequence[Scope]) -> Iterator[tuple[Scope, Sequence[Scope]]]:
    """The outermost scopes, each with those inside it. In: outer before inner."""
    index = 0
    while index < len(scopes):
        last = index + 1
        while last < len(scopes) and scopes[last][1] <= scopes[index][1]:
            last += 1
        yield scopes[index], scopes[index + 1 : last]
        index = last
