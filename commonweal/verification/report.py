"""What verification says: one Check per link of the evidence, and the first that breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is stable; `subject` says of what: a round, a member, a seat."""

    name: str
    subject: str
    ok: bool
    detail: str = ""
    expected: str | None = None
    found: str | None = None

    def to_json(self) -> dict[str, Any]:
        values = {slot: getattr(self, slot) for slot in self.__slots__}
        return {name: value for name, value in values.items() if value not in (None, "")}

    def __str__(self) -> str:
        parts = [f"{self.name} ({self.subject})", self.detail]
        if self.expected is not None:
            parts.append(f"expected {self.expected}, found {self.found}")
        return ": ".join(part for part in parts if part)


@dataclass(slots=True)
class Report:
    """`left_out` names what could not be checked, and does not have to hold for a pass."""

    job: int
    block: int
    checks: list[Check] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    models: dict[int, str] = field(default_factory=dict)  # round → CID, as recomputed

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def first_broken(self) -> Check | None:
        """The first broken link in the order of the job's own history."""
        return next(self.broken(), None)

    def broken(self) -> Iterator[Check]:
        return (check for check in self.checks if not check.ok)

    def counts(self) -> dict[str, int]:
        """Checks per name, in the order in which they were first made."""
        return dict(Counter(check.name for check in self.checks))

    def expect(self, name: str, subject: str, expected: object, found: object) -> bool:
        """Record that two values that must be equal are, or are not."""
        if expected == found:
            self.checks.append(Check(name, subject, ok=True))
        else:
            self.checks.append(
                Check(name, subject, ok=False, expected=_show(expected), found=_show(found))
            )
        return expected == found

    def require(self, name: str, subject: str, holds: bool, detail: str) -> bool:
        """Record a condition; `detail` explains a failure."""
        self.checks.append(Check(name, subject, ok=holds, detail="" if holds else detail))
        return holds

    def to_json(self) -> dict[str, Any]:
        first = self.first_broken
        return {
            "job": self.job,
            "block": self.block,
            "ok": self.ok,
            "checks": len(self.checks),
            "counts": self.counts(),
            "left_out": self.left_out,
            "first_broken": first.to_json() if first else None,
            "broken": [check.to_json() for check in self.broken()],
            "models": {str(round_): cid for round_, cid in self.models.items()},
        }


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_show(each) for each in value) + "]"
    return str(value)
