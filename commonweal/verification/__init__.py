"""Recheck a finished job from chain and content alone; no coordinator, no agent, no torch."""

from commonweal.verification.content import Content
from commonweal.verification.evidence import Evidence
from commonweal.verification.report import Check, Report
from commonweal.verification.verify import verify

__all__ = ["Check", "Content", "Evidence", "Report", "verify"]
