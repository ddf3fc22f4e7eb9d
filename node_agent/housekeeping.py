"""Room in the node's store: what was fetched to be judged goes when the store is nearly full."""

from __future__ import annotations

import threading

import structlog

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.errors import CommonwealError

log = structlog.get_logger(__name__)
_NEARLY_FULL = 0.9
_PAUSE_SECONDS = 60.0
_GRACE_SECONDS = 3600.0  # longer than a round needs what it fetched


def keep_room(
    store: EmbeddedStore,
    stop: threading.Event,
    *,
    pause_seconds: float = _PAUSE_SECONDS,
    grace_seconds: float = _GRACE_SECONDS,
) -> None:
    """Until `stop`. The node's own updates and models are pinned and stay."""
    while not stop.wait(pause_seconds):
        try:
            if store.compute_fill() >= _NEARLY_FULL:
                store.collect_garbage(grace_seconds=grace_seconds)
        except (CommonwealError, OSError) as error:
            log.warning("no room made in the store", reason=str(error))
