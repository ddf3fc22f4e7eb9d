"""Everything one running coordinator is made of, opened in order and closed in reverse."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Engine as Database

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.store import ContentStore
from commonweal.adapters.deployment import load_deployment
from commonweal.adapters.heads import HeadWatch
from commonweal.adapters.keystore import load_account, read_password
from commonweal.adapters.transactions import Outbox, TransactionSender
from commonweal.errors import CommonwealError
from commonweal.protocol.receipts import RelayReceipt, sign_receipt
from commonweal.protocol.types import Address, Wei
from service.admission import Admission
from service.chainstore import ChainStore
from service.checks import Verifier
from service.custodian import Custodian
from service.database import migrate, open_engine
from service.engine import Engine
from service.followers import Followers
from service.indexer import Indexer
from service.leadership import open_leadership
from service.mailbox import Mailbox
from service.metrics import Metrics
from service.mirror import Mirror
from service.policy import RelayPolicy
from service.repository import Repository
from service.sessions import Sessions
from service.settings import Settings
from service.views import Views

_BALANCE_SECONDS = 5.0


@dataclass(slots=True)
class Balance:
    """The sender's gas money, asked for at most every few seconds."""

    reader: ChainReader
    address: Address
    _wei: int | None = None
    _at: float = field(default=float("-inf"))

    def fetch(self) -> int | None:
        """None while the chain does not answer."""
        if time.monotonic() - self._at >= _BALANCE_SECONDS:
            self._at = time.monotonic()
            try:
                self._wei = self.reader.ask(self._ask)
            except CommonwealError:
                self._wei = None
        return self._wei

    def _ask(self) -> int:
        return int(self.reader.web3.eth.get_balance(self.address))  # type: ignore[arg-type]


@dataclass(slots=True)
class Services:
    settings: Settings
    reader: ChainReader
    database: Database
    chain_store: ChainStore
    repository: Repository
    mailbox: Mailbox
    views: Views
    verifier: Verifier
    policy: RelayPolicy
    engine: Engine
    content: ContentStore
    followers: Followers  # of jobs
    change_followers: Followers
    balance: Balance
    heads: HeadWatch | None
    outbox: Outbox
    metrics: Metrics
    sessions: Sessions
    give_receipt: Callable[[str, int], RelayReceipt]  # message id, milliseconds

    def is_final(self, block: int) -> bool:
        """Deep enough to be trusted; nothing is while the chain's head is unknown."""
        head = self.engine.head
        return head is not None and block <= head.number - self.settings.finality

    def start(self) -> None:
        self.engine.start()
        if self.heads is not None:
            self.heads.start()

    def stop(self) -> None:
        if self.heads is not None:
            self.heads.stop()
        self.engine.stop()
        self.database.dispose()


def open_chain_store(settings: Settings, reader: ChainReader) -> tuple[Database, ChainStore]:
    """Migrated and checked to be this network's. Raises DatabaseOfAnotherNetwork."""
    database = open_engine(settings.database)
    migrate(database)
    deployment = reader.deployment
    store = ChainStore(database, deployment.chain_id, deployment["Rounds"])
    store.check_network()
    return database, store


def open_services(settings: Settings) -> Services:
    """Raises what a wrong setting, key, database or chain deserves."""
    deployment = load_deployment(settings.deployment)
    account = load_account(settings.keystore, read_password(settings.password_file))
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    reader = ChainReader(settings.rpc_url, deployment)
    _ = reader.chain_id
    database, store = open_chain_store(settings, reader)
    repository, mailbox = Repository(database), Mailbox(database)
    views = Views(reader, repository)
    outbox, metrics = Outbox(database), Metrics()
    sender = TransactionSender(
        reader,
        account,
        outbox,
        replace_after=settings.replace_after,
        note_receipt=metrics.note_receipt,
    )
    policy = RelayPolicy(
        sender.address,
        settings.min_coordinator_share_bps,
        offers_per_hour=settings.offers_per_hour,
    )
    content = EmbeddedStore(
        settings.data_dir / "content",
        settings.content_bytes,
        reserve_bytes=settings.content_reserve,
    )
    engine = Engine(
        reader,
        Indexer(
            reader,
            store,
            first_block=deployment.deployed_block,
            patience=settings.lag_patience,
        ),
        Mirror(database),
        open_leadership(database),
        views,
        mailbox,
        repository,
        sender,
        Custodian(content, repository, grace_seconds=settings.content_grace),
        metrics,
        poll_interval=settings.poll_interval,
        relay_delay=settings.relay_delay,
    )
    return Services(
        settings=settings,
        reader=reader,
        database=database,
        chain_store=store,
        repository=repository,
        mailbox=mailbox,
        views=views,
        verifier=Verifier(reader, views, repository, policy),
        policy=policy,
        engine=engine,
        content=content,
        followers=Followers(settings.followers),
        change_followers=Followers(settings.followers),
        balance=Balance(reader, sender.address),
        heads=HeadWatch(settings.heads_url, engine.wake) if settings.heads_url else None,
        outbox=outbox,
        metrics=metrics,
        sessions=Sessions(
            database,
            bytes(account.key),
            sender.address,
            deployment.rounds_domain,
            settings.own_hosts,
            Admission(reader, repository, Wei(settings.least_holding)).find_identity,
        ),
        give_receipt=partial(
            sign_receipt, bytes(account.key), sender.address, deployment.rounds_domain
        ),
    )
