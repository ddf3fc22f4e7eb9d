"""Which state of the code figures were measured with: other states' figures are not continued."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_JUDGING = ("commonweal/learning", "commonweal/protocol")


def fingerprint_judging(others: Iterable[Path]) -> str:
    """Twelve hex digits of what decides about updates and pay, and of `others`: source files."""
    product = [path for folder in _JUDGING for path in (_ROOT / folder).rglob("*.py")]
    state = hashlib.sha256()
    for source in sorted(product) + sorted(others):
        content = source.read_bytes()
        state.update(len(content).to_bytes(8) + content)
    return state.hexdigest()[:12]
