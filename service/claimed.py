"""What trainers claim of themselves: the metrics in update manifests that this coordinator holds.

Nobody checks these figures; they are summed up per round and always shown as claims.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from commonweal.adapters.content.store import ContentStore
from commonweal.errors import CommonwealError
from commonweal.protocol.manifests import UpdateManifest, decode_manifest, manifest_cid
from commonweal.protocol.types import Digest

_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Claim:
    """One metric over several updates."""

    low: float
    median: float
    high: float
    updates: int


class ClaimedMetrics:
    """A digest names its content for ever, so what was read once is remembered."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._known: OrderedDict[bytes, Mapping[str, float]] = OrderedDict()

    def summarise(self, digests: Iterable[bytes]) -> dict[str, Claim]:
        """By metric; updates whose manifest is not here, or not one, are passed over."""
        values: defaultdict[str, list[float]] = defaultdict(list)
        for digest in digests:
            for name, value in self._read(digest).items():
                values[name].append(value)
        return {
            name: Claim(min(found), median(found), max(found), len(found))
            for name, found in values.items()
        }

    def _read(self, digest: bytes) -> Mapping[str, float]:
        if digest in self._known:
            return self._known[digest]
        try:
            manifest = decode_manifest(self._store.get_block(manifest_cid(Digest(digest))))
        except CommonwealError:
            return {}  # asked again next time: it may arrive
        metrics = manifest.metrics if isinstance(manifest, UpdateManifest) else {}
        self._known[digest] = metrics
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return metrics
