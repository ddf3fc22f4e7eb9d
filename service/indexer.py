"""Follows the chain into the database, and back again when the chain changes its mind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from commonweal.adapters.chain import Block, BlockUnknown
from commonweal.protocol.events import ChainEvent
from service.chainstore import ChainStore, Checkpoint

log = structlog.get_logger(__name__)
_BLOCKS_AT_ONCE = 2_000


class Chain(Protocol):
    """What the indexer asks of a `ChainReader`."""

    def fetch_head(self) -> Block: ...
    def fetch_head_and(self, number: int) -> tuple[Block, Block | None]: ...
    def fetch_block(self, number: int) -> Block: ...
    def fetch_events(self, from_block: int, to_block: int) -> Sequence[ChainEvent]: ...


@dataclass(frozen=True, slots=True)
class Step:
    """What one look at the chain brought."""

    head: Block
    indexed: Block
    events: Sequence[ChainEvent] = ()
    rewound: bool = False

    @property
    def is_complete(self) -> bool:
        return self.indexed.number == self.head.number


class Indexer:
    def __init__(
        self,
        chain: Chain,
        store: ChainStore,
        *,
        first_block: int,
        patience: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience`: seconds in which a head below what is indexed is a node's that lags."""
        self._chain = chain
        self._patience = patience
        self._clock = clock
        self._behind_since: float | None = None
        self._store = store
        self._first_block = first_block

    def fetch_rewinds(self) -> int:
        return self._store.fetch_rewinds()

    def step(self) -> Step | None:
        """One batch of blocks, or one rewind; None if nothing is new."""
        cursor = self._store.fetch_cursor()
        head, again = self._fetch_head(cursor)
        if cursor is not None and cursor.hash == head.hash:
            return None
        if cursor is not None and self._is_lagging(cursor, head):
            return None
        if cursor is not None and cursor.number >= 0 and not _is_kept(cursor, head, again):
            return self._rewind(head)
        start = self._first_block if cursor is None else max(cursor.number + 1, self._first_block)
        return self._follow(start, head)

    def _is_lagging(self, cursor: Checkpoint, head: Block) -> bool:
        """A chain that lost blocks for good soon has others in their place."""
        if head.number >= cursor.number:
            self._behind_since = None
            return False
        if self._behind_since is None:
            self._behind_since = self._clock()
        return self._clock() - self._behind_since < self._patience

    def _fetch_head(self, cursor: Checkpoint | None) -> tuple[Block, Block | None]:
        """With the block that now stands where the cursor's did."""
        if cursor is None or cursor.number < 0:
            return self._chain.fetch_head(), None
        return self._chain.fetch_head_and(cursor.number)

    def _rewind(self, head: Block) -> Step:
        ancestor = next((p for p in self._store.fetch_checkpoints() if self._stands(p, head)), None)
        self._store.rewind(ancestor)
        number = -1 if ancestor is None else ancestor.number
        log.warning("chain rewound", to=number, head=head.number)
        indexed = Block(number, ancestor.hash if ancestor else b"", b"", head.timestamp)
        return Step(head, indexed, rewound=True)

    def _stands(self, point: Checkpoint, head: Block) -> bool:
        return point.number <= head.number and self._fetch_hash(point.number) == point.hash

    def _fetch_hash(self, number: int) -> bytes | None:
        try:
            return self._chain.fetch_block(number).hash
        except BlockUnknown:
            return None

    def _follow(self, start: int, head: Block) -> Step | None:
        end = min(head.number, start + _BLOCKS_AT_ONCE - 1)
        if start == end == head.number and not head.has_logs:
            return Step(head, head, self._store.store([], head))
        last = head if end == head.number else self._chain.fetch_block(end)
        events = self._chain.fetch_events(start, end)
        # The chain may have changed between the two requests: what was read must end in `last`.
        strays = [e for e in events if e.ref.block_number == end and e.ref.block_hash != last.hash]
        if strays or self._fetch_hash(end) != last.hash:
            return None
        fresh = self._store.store(events, last)
        return Step(head, last, fresh)


def _is_kept(point: Checkpoint, head: Block, again: Block | None) -> bool:
    """Whether the block at `point` is still in the chain that ends in `head`.

    `again`: what the chain has at its number.
    """
    if head.number == point.number + 1:
        return head.parent_hash == point.hash
    if head.number <= point.number:
        return head.number == point.number and head.hash == point.hash
    return again is not None and again.hash == point.hash
