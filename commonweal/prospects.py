"""What a coordinator's network holds for a job: who could take part, and how long rounds take.

The coordinator is believed: it is an outlook, and nothing is signed for it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from commonweal import answers
from commonweal.client import Client
from commonweal.jobfile import Terms

_JOBS, _FINISHED = 5, 50  # the latest ones, whose rounds count


@dataclass(frozen=True, slots=True)
class Prospects:
    """`trainers`, `validators`: registered providers that the terms admit and who are free to join.

    `usual_round` and `usual_job`: seconds, by the median of the latest rounds; None without any.
    """

    trainers: int
    validators: int
    usual_round: int | None
    usual_job: int | None


def find_prospects(client: Client, terms: Terms) -> Prospects:
    """Raises CoordinatorError, CoordinatorUnreachable."""
    able = [each for each in _fetch_providers(client) if could_join(each, terms, time.time())]
    usual = compute_usual_round(_fetch_rounds(client))
    return Prospects(
        trainers=sum("trainer" in each.roles for each in able),
        validators=sum("validator" in each.roles for each in able),
        usual_round=usual,
        usual_job=None if usual is None else usual * terms.rounds,
    )


def could_join(provider: answers.Provider, terms: Terms, now: float) -> bool:
    """Not whether it wants to: its own policies are its operator's."""
    allowed = {address.lower() for address in terms.allowlist}
    return (
        provider.free >= terms.min_stake
        and provider.jailed_until <= now
        and (not allowed or provider.provider.lower() in allowed)
    )


def compute_usual_round(rounds: Iterable[answers.Round]) -> int | None:
    """Seconds from opening to the final model, the median of those that got there."""
    times = [
        each.closed_at - each.opened_at
        for each in rounds
        if each.state == "finalised" and each.closed_at is not None
    ]
    return round(statistics.median(times[-_FINISHED:])) if times else None


def _fetch_providers(client: Client) -> Iterator[answers.Provider]:
    cursor: str | None = None
    while True:
        page = client.providers(cursor)
        yield from page.items
        if page.next is None:
            return
        cursor = page.next


def _fetch_rounds(client: Client) -> list[answers.Round]:
    jobs = sorted(job.job for job in client.jobs().items[:_JOBS])
    return [each for job in jobs for each in client.rounds(job).items]
