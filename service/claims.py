"""Messages that are mined by a receipt's word; the chain that is followed has the last one.

A receipt may be of a block that the chain drops a moment later, even before it is seen here.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from commonweal.protocol.messages import JoinMessage, LeaveMessage
from service.batching import sort_letters
from service.mailbox import Letter
from service.views import JobView


@dataclass(frozen=True, slots=True)
class Claim:
    letter: Letter
    block: int


class Claims:
    """Made by those who send, settled by the one who follows the chain."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[int, list[Claim]] = {}

    def add(self, job: int, letters: Collection[Letter], block: int) -> None:
        claims = [Claim(x, block) for x in letters if not _is_membership(x)]
        if claims:
            with self._lock:
                self._claims.setdefault(job, []).extend(claims)

    def take_lost(self, view: JobView, head: int) -> Sequence[Letter]:
        """Those that the chain up to `head` does not show, though it is past their block.

        Only while they can be sent again. Both they and those that are shown are forgotten here.
        """
        with self._lock:
            claims = self._claims.pop(view.job.job, [])
            if later := [claim for claim in claims if claim.block > head]:
                self._claims[view.job.job] = later
        ripe = [claim.letter for claim in claims if claim.block <= head]
        return sort_letters(view, ripe).open

    def keep_only(self, jobs: Collection[int]) -> None:
        """The others are over."""
        with self._lock:
            self._claims = {job: claims for job, claims in self._claims.items() if job in jobs}


def _is_membership(letter: Letter) -> bool:
    return isinstance(letter.message, JoinMessage | LeaveMessage)
