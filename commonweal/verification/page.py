"""A verification report as one HTML file that needs nothing else: no script, no other host."""

from __future__ import annotations

from collections import Counter

from commonweal.rendering import render
from commonweal.verification.report import Report
from commonweal.verification.words import WHAT_HOLDS

MOST_BROKEN = 500  # links listed one by one


def render_page(report: Report, trusted: str, made_at: str) -> str:
    """`trusted`: what was believed; `made_at`: when, for people. Every value is escaped."""
    broken = list(report.broken())
    per_name = Counter(check.name for check in broken)
    checks = [
        (name, WHAT_HOLDS.get(name, ""), count, per_name[name])
        for name, count in report.counts().items()
    ]
    return render(
        "verification.html",
        report=report,
        checks=checks,
        broken=broken[:MOST_BROKEN],
        unlisted=max(0, len(broken) - MOST_BROKEN),
        trusted=trusted,
        made_at=made_at,
    )
