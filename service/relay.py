"""Sends what waits in the mailbox, and finds out which message made a batch fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import structlog

from commonweal.adapters.chain import ChainReader, ContractReverted
from commonweal.adapters.raw_transactions import Receipt
from commonweal.adapters.sender_pool import SenderPool
from commonweal.protocol.batches import ContractCall, draw_committee
from commonweal.protocol.events import JobCreated
from commonweal.worktime import timed
from service.batching import Batch, Sorted, blame
from service.claims import Claims
from service.mailbox import ACCEPTED, MINED, REFUSED, SENT, Letter, Mailbox, PostedOffer
from service.offers import OfferForm, is_offer_used, offer_call, to_kebab_case
from service.repository import Repository
from service.views import JobView

log = structlog.get_logger(__name__)
_MOST_ATTEMPTS = 6
# Somebody else drew first, or the block is not there yet: the next look at the chain tells.
_LATER = frozenset({"AlreadyDrawn", "DrawPending", "HeaderWrong", "MemberEngaged", "SeedPending"})


class Relay:
    def __init__(
        self, reader: ChainReader, sender: SenderPool, mailbox: Mailbox, repository: Repository
    ) -> None:
        self._repository = repository
        self._reader = reader
        self._sender = sender
        self._mailbox = mailbox
        self._attempts: Counter[str] = Counter()
        self._claims = Claims()
        self.rewinds = 0  # a rewound chain may need what it had before once more

    def settle(self, letters: Sorted, block: int) -> None:
        """Take note of what the chain has already, or will not take any more."""
        if letters.mined:
            self._mailbox.mark_mined([letter.id for letter in letters.mined], None, block)
        if letters.closed:
            self.refuse(letters.closed, "phase-closed")

    def reconsider(self, view: JobView, head: int) -> None:
        """Accept again what was mined in a block that is not in the chain up to `head`."""
        if lost := self._claims.take_lost(view, head):
            log.warning("messages fell out of the chain", job=view.job.job, count=len(lost))
            self._mailbox.mark_accepted([letter.id for letter in lost])

    def forget(self, live_jobs: Collection[int]) -> None:
        """All jobs but these."""
        self._claims.keep_only(live_jobs)

    def refuse(self, letters: Sequence[Letter], reason: str) -> None:
        log.info("messages refused", count=len(letters), reason=reason)
        self._mailbox.mark_refused([letter.id for letter in letters], reason)

    def send(self, batch: Batch) -> None:
        """Whatever goes wrong, it waits again: sending it twice finds the first transaction."""
        try:
            self._mailbox.mark_sent(batch.ids)
            self._send_marked(batch)
        except Exception:
            self._mailbox.mark_accepted(batch.ids)
            raise

    def send_offer(self, offer: PostedOffer) -> None:
        """See `send`."""
        try:
            self._mailbox.mark_offer(offer.id, SENT)
            self._send_marked_offer(offer)
        except Exception:
            self._mailbox.mark_offer(offer.id, ACCEPTED)
            raise

    def _send_marked(self, batch: Batch) -> None:
        try:
            with timed(log, "chain", job=batch.job, kind=batch.kind):
                receipt = self._send_calls(batch)
        except ContractReverted as error:
            self._take_apart(batch, error)
            return
        self._mailbox.mark_mined(batch.ids, receipt, receipt.block_number)
        self._claims.add(batch.job, batch.letters, receipt.block_number)
        fields = {"job": batch.job, "kind": batch.kind, "messages": len(batch.letters)}
        log.info("batch mined", **fields, gas=receipt.gas_used, block=receipt.block_number)

    def _send_marked_offer(self, offer: PostedOffer) -> None:
        try:
            receipt = self._send(f"offer:{offer.id}", offer_call(offer.body))
        except ContractReverted as error:
            self._take_back(offer, error)
            return
        job, block = self._find_job(receipt), receipt.block_number
        self._note_mined(offer, job=job, tx=receipt.tx_hash, block_number=block)

    def _take_back(self, offer: PostedOffer, error: ContractReverted) -> None:
        """Where its nonce is used its job is there: somebody else carried the offer, or a block
        that had been dropped came back. What is followed of the chain may be a little behind."""
        form = OfferForm.model_validate(offer.body)
        if is_offer_used(self._reader, form):
            if created := self._repository.find_created_job(*form.terms):
                self._note_mined(offer, **created)
                return
            self._attempts[offer.id] += 1
            if self._attempts[offer.id] < _MOST_ATTEMPTS:
                self._mailbox.mark_offer(offer.id, ACCEPTED)
                return
        del self._attempts[offer.id]
        self._mailbox.mark_offer(offer.id, REFUSED, reason=to_reason(error))

    def _note_mined(
        self, offer: PostedOffer, *, job: int | None, tx: bytes, block_number: int
    ) -> None:
        del self._attempts[offer.id]
        place = {"tx": tx, "block_number": block_number}
        self._mailbox.mark_offer(offer.id, MINED, job=job, reason=None, **place)
        log.info("offer mined", offer=offer.id, job=job)

    def _send_calls(self, batch: Batch) -> Receipt:
        calls = (*batch.calls, *self._draw(batch))
        gas = None if calls[0].contract == "JobBoard" else batch.gas
        if len(calls) == 1:
            return self._send(batch.intent, calls[0], gas)
        parts = [self._reader.encode(c.contract, c.function, *c.args)[1] for c in calls]
        return self._send(batch.intent, ContractCall("Rounds", "multicall", (parts,)), gas)

    def _draw(self, batch: Batch) -> list[ContractCall]:
        """The draw goes with the reveals, if its block is there."""
        if not batch.seed_block or self._reader.fetch_head().number < batch.seed_block:
            return []
        return [draw_committee(batch.job, self._reader.fetch_header(batch.seed_block))]

    def _send(self, intent: str, call: ContractCall, gas: int | None = None) -> Receipt:
        key = f"{intent}:{self.rewinds}"
        return self._sender.send(key, call.contract, call.function, *call.args, gas=gas)

    def _take_apart(self, batch: Batch, error: ContractReverted) -> None:
        """Refuse the one that is to blame; the rest waits for the next batch."""
        fields = {"job": batch.job, "kind": batch.kind, "error": error.name}
        log.info("batch reverted", **fields)
        guilty = None if error.name in _LATER else blame(batch, error)
        for letter in batch.letters:
            self._attempts[letter.id] += 1
            hopeless = self._attempts[letter.id] >= _MOST_ATTEMPTS and error.name not in _LATER
            if letter is guilty or hopeless:
                del self._attempts[letter.id]
                self._mailbox.mark_refused([letter.id], to_reason(error))
            else:
                self._mailbox.mark_accepted([letter.id])

    def _find_job(self, receipt: Receipt) -> int | None:
        block = receipt.block_number
        created = (e for e in self._reader.fetch_events(block, block) if isinstance(e, JobCreated))
        return next((e.job for e in created if e.ref.tx_hash == receipt.tx_hash), None)


def to_reason(error: ContractReverted) -> str:
    return to_kebab_case(error.name) if error.name else error.code
