"""Several keys that send as one: each has nonces of its own, so none waits for another's.

An intent goes to the key with the fewest transactions under way, and stays with it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import structlog

from commonweal.adapters.assignments import Assignments
from commonweal.adapters.outbox import Outbox
from commonweal.adapters.raw_transactions import Receipt
from commonweal.adapters.rpc import ChainRefused
from commonweal.adapters.transactions import TransactionSender
from commonweal.errors import CommonwealError, Conflict
from commonweal.protocol.types import Address

log = structlog.get_logger(__name__)
_REST_SECONDS = 30.0  # of a key whose transaction a node refuses: mostly it has no money for gas


class SenderMissing(Conflict):
    """The intent was given to a key that is not in the pool any more."""

    code = "sender-missing"


class SenderPool:
    """Used like a TransactionSender. Threads may share it; processes may share its database."""

    def __init__(
        self,
        senders: Sequence[TransactionSender],
        outbox: Outbox,
        assignments: Assignments,
        chain_id: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The first sender is the pool's face: its address is the pool's."""
        self._senders = {sender.address: sender for sender in senders}
        self._outbox = outbox
        self._assignments = assignments
        self._chain_id = chain_id
        self._clock = clock
        self._lock = threading.Lock()
        self._busy: Counter[Address] = Counter()
        self._resting: dict[Address, float] = {}  # until when
        self.address = senders[0].address

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(self._senders)

    def send(
        self,
        intent: str,
        contract: str,
        function: str,
        *args: object,
        gas: int | None = None,
        timeout: float = 60,
    ) -> Receipt:
        """See TransactionSender.send. Raises SenderMissing too."""
        with self._hold(intent) as sender:
            try:
                return sender.send(intent, contract, function, *args, gas=gas, timeout=timeout)
            except CommonwealError as error:
                self._give_back(intent, sender.address, error)
                raise

    def recover(self, timeout: float = 60) -> list[str]:
        """See TransactionSender.recover; all keys at once."""
        with ThreadPoolExecutor(len(self._senders), thread_name_prefix="recover") as pool:
            found = pool.map(lambda sender: sender.recover(timeout), self._senders.values())
            return [intent for intents in found for intent in intents]

    @contextmanager
    def _hold(self, intent: str) -> Iterator[TransactionSender]:
        with self._lock:
            address = self._choose(intent)
            self._busy[address] += 1
        try:
            yield self._senders[address]
        finally:
            with self._lock:
                self._busy[address] -= 1

    def _choose(self, intent: str) -> Address:
        """Whoever has it already, or the freest."""
        known = self._assignments.find(intent)
        if known is None:
            stored = self._assignments.find_stored(intent, self.addresses)
            known = self._assignments.assign(intent, stored or self._find_freest())
        if known not in self._senders and not self._has_stored(intent, known):
            self._assignments.release(intent, known)
            known = self._assignments.assign(intent, self._find_freest())
        if known not in self._senders:
            message = f"{intent} was given to {known}, whose key is not here"
            raise SenderMissing(message, intent=intent, sender=known)
        return known

    def _has_stored(self, intent: str, address: Address) -> bool:
        return self._outbox.find(self._chain_id, address, intent) is not None

    def _find_freest(self) -> Address:
        """Of equals, the first. Keys that rest come last."""
        now = self._clock()

        def measure(address: Address) -> tuple[bool, int]:
            pending, _ = self._outbox.count_pending(self._chain_id, address)
            return self._resting.get(address, now) > now, max(pending, self._busy[address])

        return min(self._senders, key=measure)

    def _give_back(self, intent: str, address: Address, error: CommonwealError) -> None:
        """What was never stored may be another key's the next time."""
        if isinstance(error, ChainRefused):
            log.warning("a key rests", sender=address, reason=error.message)
            self._resting[address] = self._clock() + _REST_SECONDS
        self._assignments.release(intent, address)
