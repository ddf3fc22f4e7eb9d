"""The coordinator's one loop: follow the chain, then hand out what is due, a job at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from commonweal.adapters.chain import Block, ChainReader
from commonweal.adapters.heads import TOLD_INTERVAL, HeadWatch
from commonweal.adapters.sender_pool import SenderPool
from commonweal.errors import CommonwealError
from commonweal.protocol.events import MemberJoined, MemberLeft, MemberOperatorRefreshed
from service.batching import is_draw_pending, next_batch, sort_letters
from service.custodian import Custodian
from service.database import DatabaseUnavailable
from service.indexer import Indexer, Step
from service.keeper import Duty, Keeper, due_duties, due_seals, due_step
from service.leadership import Leadership
from service.mailbox import Letter, Mailbox
from service.metrics import Metrics
from service.mirror import Mirror
from service.relay import Relay
from service.repository import Repository
from service.ticks import Ticks
from service.views import JobView, Views

log = structlog.get_logger(__name__)
_WORKERS = 8
_RETRY_SECONDS = 0.5
_DUTY_SECONDS, _DUTY_RETRY_SECONDS = 5.0, 60.0
_CONTENT_SECONDS = 1.0
_DRAIN_SECONDS = 5.0
_RECOVERY_SECONDS = 2.0  # a look at each of them
# Keys beside the jobs' numbers, which start at 1.
_OFFERS, _DUTIES, _CONTENT, _RECOVERY = 0, -1, -2, -3
_ROSTER_EVENTS = (MemberJoined, MemberLeft, MemberOperatorRefreshed)


@dataclass(frozen=True, slots=True)
class Task:
    key: str
    run: Callable[[], object]


class Engine:
    """Runs in a thread of its own; `wake`, `look` and `catch_up` may be called from any.

    Only the leader of several coordinators on one database writes and sends; the others look on,
    and make room in their own stores.
    """

    def __init__(
        self,
        reader: ChainReader,
        indexer: Indexer,
        mirror: Mirror,
        leadership: Leadership,
        views: Views,
        mailbox: Mailbox,
        repository: Repository,
        sender: SenderPool,
        custodian: Custodian,
        metrics: Metrics,
        *,
        poll_interval: float,
        relay_delay: float,
        heads_url: str | None = None,
    ) -> None:
        """`heads_url`: of a node that tells of blocks; without one it is asked for them."""
        self._reader = reader
        self._indexer = indexer
        self._mirror = mirror
        self._leadership = leadership
        self._views = views
        self._mailbox = mailbox
        self._repository = repository
        self._sender = sender
        self._custodian = custodian
        self._metrics = metrics
        self._relay = Relay(reader, sender, mailbox, repository)
        self._keeper = Keeper(sender)
        self._poll_interval = poll_interval
        self._relay_delay = relay_delay
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._ticks = Ticks()
        self._busy: set[int] = set()
        self._last: dict[int, tuple[str, int, float]] = {}
        self._is_recovered = False
        self._duties_at = 0.0
        self._content_at = 0.0
        self._deferred: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="engine")
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._is_anew = True  # every view is to be read again
        self._is_stale = True  # the chain may have more than was read
        self._looked_at = float("-inf")
        self._awaits_blocks = False  # also those in which nothing happened
        self._heads = heads_url and HeadWatch(
            heads_url, self.look, wants_quiet=lambda: self._awaits_blocks
        )
        self.leads = False
        self.head: Block | None = None
        self.indexed = -1
        self.error: str | None = None  # of the latest look at the chain
        self.changes = 0  # grows with every change that followers may want to see

    def start(self) -> None:
        self._thread.start()
        if self._heads:
            self._heads.start()

    def stop(self) -> None:
        """Finishes what is being sent, if that does not take long; it is stored anyway."""
        self._stopping.set()
        if self._heads:
            self._heads.stop()
        self._ticks.stop()
        self._wake.set()
        self._thread.join(timeout=10)
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.01)
        self._leadership.release()

    def wake(self) -> None:
        """Something waits to be handed out; what is known of the chain will do for it."""
        self._wake.set()

    def look(self) -> None:
        """The chain has changed, or may have."""
        self._is_stale = True
        self._wake.set()

    def catch_up(self, timeout: float = 2.0) -> None:
        """Returns when all is followed that the chain has now, or after `timeout`.

        Whoever does not lead waits for what the leader writes. At once if many wait already.
        Raises ChainUnavailable.
        """
        head = self._reader.fetch_head()
        if not self._has_seen(head):
            self.look()
            self._ticks.wait(timeout, lambda: self._has_seen(head))

    def _has_seen(self, block: Block) -> bool:
        """The views are of this block, or of a later one."""
        seen = self._views.head
        if seen is None or self.indexed < block.number:
            return False
        return seen.hash == block.hash or seen.number > block.number

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._tick()
                self.error = None
            except CommonwealError as error:
                self._note(error)
            except (DBAPIError, PoolExhausted) as error:
                reason = getattr(error, "orig", error)
                self._note(DatabaseUnavailable(f"the database does not answer: {reason}"))
            except Exception:
                log.exception("the loop failed")
                self._stopping.wait(1.0)
            self._ticks.note()
            self._wake.wait(self._poll_interval)

    def _note(self, error: CommonwealError) -> None:
        if self.error != error.code:
            log.warning("the loop is held up", code=error.code, reason=error.message)
        self.error = error.code
        self._stopping.wait(_RETRY_SECONDS)

    def _tick(self) -> None:
        if self._leadership.hold() is not self.leads:
            self._change_places()
        if self._should_look():
            self._look()
        self._make_room()
        if not self.leads:
            return
        if not self._is_recovered:
            if _RECOVERY not in self._busy:
                self._submit(_RECOVERY, Task("recover", self._recover))
        elif self._views.head is not None:
            self._hand_out()

    def _should_look(self) -> bool:
        """While a node tells of blocks, it is asked now and then only, whatever it tells."""
        is_told = self._heads and self._heads.is_told
        interval = max(self._poll_interval, TOLD_INTERVAL) if is_told else self._poll_interval
        waited = time.monotonic() - self._looked_at
        return self._is_stale or not self.leads or waited >= interval

    def _change_places(self) -> None:
        self.leads = not self.leads
        log.info("this coordinator leads" if self.leads else "another coordinator leads")
        self._is_recovered = False
        self._is_anew = self._is_stale = True
        self._mirror.forget()
        self._relay.rewinds = self._keeper.rewinds = self._indexer.fetch_rewinds()

    # Following

    def _look(self) -> None:
        self._is_stale, self._looked_at = False, time.monotonic()
        try:
            self._follow()
        except BaseException:  # what it had taken from the chain may not be in the views
            self._is_stale = self._is_anew = True
            raise
        self._awaits_blocks = any(is_draw_pending(view.round) for view in self._views.all())

    def _follow(self) -> None:
        touched: set[int] = set()
        rosters: set[int] = set()
        source = self._indexer if self.leads else self._mirror
        while not self._stopping.is_set() and (step := source.step()) is not None:
            self._note_step(step)
            touched |= {e.job for e in step.events if hasattr(e, "job")}
            rosters |= {e.job for e in step.events if isinstance(e, _ROSTER_EVENTS)}
            if step.is_complete:
                break
        head = self.head or self._reader.fetch_head()
        self.head = head
        if self._is_anew:
            self._views.reset(head)
            self._is_anew = False
        elif touched or self._views.head != head:
            self._views.refresh(touched, rosters, head)

    def _note_step(self, step: Step) -> None:
        self.head, self.indexed = step.head, step.indexed.number
        self._metrics.note_events(step.events)
        self.changes += 1
        if step.rewound:
            self._relay.rewinds += 1
            self._keeper.rewinds += 1
            self._is_anew = True

    # Keeping content

    def _make_room(self) -> None:
        """Also where another coordinator leads: each has a store of its own."""
        if _CONTENT in self._busy or time.monotonic() < self._content_at:
            return
        self._content_at = time.monotonic() + _CONTENT_SECONDS
        if self._custodian.is_due():
            self._submit(_CONTENT, Task("collect", self._collect))

    def _collect(self) -> None:
        """Not while the database lacks blocks: what these name would be dropped."""
        if self._has_seen(self._reader.fetch_head()):
            self._custodian.collect()

    # Handing out

    def _recover(self) -> None:
        """Waits for what was on its way when the last process ended, while the chain is followed.

        Whatever is sent later comes after it on chain anyway, and might carry the same messages.
        """
        while intents := self._sender.recover(timeout=_RECOVERY_SECONDS):
            log.info("transactions sent again", intents=intents)
            if self._stopping.is_set():
                return
        self._is_recovered = True

    def _hand_out(self) -> None:
        self._mailbox.reopen_sent(frozenset(self._busy))
        letters = self._mailbox.fetch_waiting()
        views = {view.job.job: view for view in self._views.all()}
        self._relay.forget(views)
        for job, waiting in letters.items():
            if job not in views and job not in self._busy:
                self._relay.refuse(waiting, "job-over")
        for job, view in views.items():
            if job not in self._busy:
                self._submit(job, self._decide(view, letters.get(job, [])))
        if _OFFERS not in self._busy:
            self._submit(_OFFERS, self._find_offers())
        if _DUTIES not in self._busy and time.monotonic() >= self._duties_at:
            self._duties_at = time.monotonic() + _DUTY_SECONDS
            self._submit(_DUTIES, Task("duties", self._perform_duties))

    def _decide(self, view: JobView, letters: list[Letter]) -> Task | None:
        """What waits in the mailbox goes first: it may make the transition needless."""
        now, head = self._views.now(), self.head
        assert head is not None
        self._relay.reconsider(view, head.number)
        found = sort_letters(view, letters)
        self._relay.settle(found, view.at.number)
        ms = time.time_ns() // 1_000_000
        batch = next_batch(view, found.open, now=now, now_ms=ms, delay=self._relay_delay)
        if batch is not None and self._is_fresh(batch.job, batch.intent):
            return Task(batch.intent, lambda: self._relay.send(batch))
        fetch = self._reader.fetch_header
        duty = due_step(view, now=now, head=head.number, fetch_header=fetch)
        if duty is not None:
            return Task(duty.intent, lambda: self._keeper.perform(duty))
        seals = due_seals(view)
        if seals and not self._repository.has_event("RosterSealed", view.job.job):
            return Task(seals[0].intent, lambda: self._perform(seals))
        return None

    def _find_offers(self) -> Task | None:
        """One at a time, so that none that is found here is being sent."""
        self._mailbox.reopen_lost_offers(self.indexed)
        offers = self._mailbox.fetch_unsettled_offers()
        if not offers:
            return None
        offer = offers[0]
        return Task(f"offer:{offer.id}", lambda: self._relay.send_offer(offer))

    def _perform_duties(self) -> None:
        self._perform(list(due_duties(self._repository, now=self._views.now())))

    def _perform(self, duties: list[Duty]) -> None:
        for duty in duties:
            if self._stopping.is_set() or time.monotonic() < self._deferred.get(duty.intent, 0):
                continue
            if not self._keeper.perform(duty):
                self._deferred[duty.intent] = time.monotonic() + _DUTY_RETRY_SECONDS

    def _is_fresh(self, job: int, key: str) -> bool:
        """The same thing is not tried again before the chain has moved, or some time has passed."""
        last = self._last.get(job)
        if last is None or last[0] != key or self.head is None:
            return True
        return last[1] != self.head.number or time.monotonic() - last[2] >= _RETRY_SECONDS

    def _submit(self, job: int, task: Task | None) -> None:
        if task is None or not self._is_fresh(job, task.key):
            return
        head = self.head.number if self.head else -1
        self._last[job] = (task.key, head, time.monotonic())
        self._busy.add(job)
        self._pool.submit(self._work, job, task)

    def _work(self, job: int, task: Task) -> None:
        structlog.contextvars.bind_contextvars(task=task.key)
        try:
            task.run()
        except CommonwealError as error:
            log.warning("task failed", code=error.code, reason=error.message)
        except Exception:
            log.exception("task failed")
        finally:
            structlog.contextvars.unbind_contextvars("task")
            self.changes += 1
            self._busy.discard(job)
            self.look()
