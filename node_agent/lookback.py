"""The round before, for a validator that did not judge it.

Without it, whoever sits for the first time could be sent that round's updates once more.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from commonweal.errors import CommonwealError
from commonweal.learning.scoring import ScoringMemory, recall_round, remembers_round
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Address
from node_agent.models import ModelLibrary
from node_agent.validator import RevealedRound, UpdateReader

log = structlog.get_logger(__name__)


def look_back(
    models: ModelLibrary,
    updates: UpdateReader,
    spec: JobSpec,
    memory: ScoringMemory,
    before: RoundRecord,
    trainers: Mapping[int, Address],
    *,
    until: float,
) -> ScoringMemory:
    """`memory` with the updates of `before`, as far as they are to be had `until` (clock seconds).

    A round that is remembered already is not read again; one whose model is gone is passed over.
    """
    if before.parent_model is None or not before.digests:
        return memory
    try:
        parent = models.fetch_weights(before.parent_model, spec)
    except CommonwealError as error:
        log.info("the model before is not to be had", job=before.job, reason=error.message)
        return memory
    if remembers_round(memory, parent):
        return memory
    round_ = RevealedRound(before.job, before.round, before.parent_model, before.digests, trainers)
    return recall_round(memory, parent, list(updates.read(spec, round_, until=until).values()))
