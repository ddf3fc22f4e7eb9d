"""Whether a slash or a model on appeal is wrong, found out anew from chain and content.

What the chain itself has proven (an update not revealed, a seat that was empty, two signatures)
stands. What a committee said is checked: the model by aggregating again, an update that was called
invalid by decoding it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.store import ContentNotFound
from commonweal.protocol.appeals import Case
from commonweal.protocol.batches import RoundRecord, collect_round
from commonweal.protocol.events import RoundOpened
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Address, Digest, Fault
from node_agent.models import ModelLibrary, compute_next_model, verified_updates
from node_agent.validator import RevealedRound, UpdateReader

_FETCH_SECONDS = 3.0  # per attempt: the node has other duties


@dataclass(frozen=True, slots=True)
class Dossier:
    """What the chain says of the round that a case is about."""

    spec: JobSpec
    parent: Digest
    record: RoundRecord
    trainers: Mapping[int, Address]  # every member's address

    def reveals(self, digests: Mapping[int, Digest]) -> RevealedRound:
        its = self.record
        return RevealedRound(its.job, its.round, self.parent, digests, self.trainers)


@dataclass(slots=True)
class Judge:
    reader: ChainReader
    models: ModelLibrary
    updates: UpdateReader  # not the duties': each keeps the updates of one round

    def is_wrong(self, case: Case, at: int, *, is_last_chance: bool) -> bool:
        """True to overturn. Raises ContentNotFound while what is needed is not to be had.

        On the last chance an update that its trainer does not show counts as invalid: who appeals
        has it, and has to serve it.
        """
        if not case.slash:
            dossier = self._open(case, at)
            stands = self.reader.fetch_model(case.job, case.round, at)
            return self._compute_model(dossier) != stands
        fault = self.reader.fetch_fault(case.slash, at)[3]
        if fault is not Fault.INVALID_UPDATE:
            return False
        return self._is_valid(self._open(case, at), case.member, is_last_chance)

    def _open(self, case: Case, at: int) -> Dossier:
        job = self.reader.fetch_job(case.job, at)
        start = self.reader.deployment.deployed_block
        events = self.reader.fetch_events(start, at, case.job)
        opened = next(e for e in events if isinstance(e, RoundOpened) and e.round == case.round)
        return Dossier(
            spec=self.models.fetch_spec(job.parameters.spec_digest),
            parent=opened.parent_model,
            record=collect_round(events, case.job, case.round),
            trainers={m.member: m.provider for m in self.reader.fetch_members(case.job, at)},
        )

    def _compute_model(self, its: Dossier) -> Digest:
        verified = verified_updates(its.record.digests, its.record.scores, its.trainers)
        wanted = its.reveals({item.member: item.digest for item in verified})
        found = self.updates.read(its.spec, wanted, until=time.monotonic() + _FETCH_SECONDS)
        deltas = {member: c.delta for member, c in found.items() if c.delta is not None}
        if missing := sorted(found.keys() - deltas.keys()):
            raise ContentNotFound("verified updates are not to be had", members=missing)
        parent = self.models.fetch_model(its.parent, its.spec)
        model = compute_next_model(its.spec, parent, verified, deltas)
        place = (its.record.job, its.record.round)
        return self.models.store_model(its.spec, model, its.parent, *place, verified)

    def _is_valid(self, its: Dossier, member: int, is_last_chance: bool) -> bool:
        wanted = its.reveals({member: its.record.digests[member]})
        found = self.updates.read(its.spec, wanted, until=time.monotonic() + _FETCH_SECONDS)
        candidate = found[member]
        if candidate.fault == "unavailable" and not is_last_chance:
            raise ContentNotFound("the update is not to be had", member=member)
        return candidate.fault is None
