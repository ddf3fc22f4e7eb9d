"""Everything one running coordinator is made of, opened in order and closed in reverse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine as Database

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.store import ContentStore
from commonweal.adapters.deployment import load_deployment
from commonweal.adapters.transactions import Outbox
from commonweal.protocol.receipts import RelayReceipt, sign_receipt
from commonweal.protocol.types import Wei
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
from service.senders import Balance, load_accounts, open_pool
from service.sessions import Sessions
from service.settings import Settings
from service.views import Views


@dataclass(slots=True)
class Services:
    settings: Settings
    reader: ChainReader
    database: Database  # for answers
    loop_database: Database  # the same, for the engine
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
    balances: tuple[Balance, ...]  # of the sending keys, the coordinator's own first
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

    def stop(self) -> None:
        self.engine.stop()
        self.database.dispose()
        self.loop_database.dispose()


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
    accounts = load_accounts(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    reader = ChainReader(settings.rpc_url, deployment)
    _ = reader.chain_id
    # Two pools of connections: whoever asks a lot waits for others who ask, the loop for nobody.
    loop_database, store = open_chain_store(settings, reader)
    database = open_engine(settings.database)
    repository, loop_repository = Repository(database), Repository(loop_database)
    views = Views(reader, loop_repository)
    metrics = Metrics()
    sender = open_pool(settings, reader, loop_database, accounts, metrics)
    own_key = bytes(accounts[0].key)
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
        Mirror(loop_database),
        open_leadership(loop_database),
        views,
        Mailbox(loop_database),
        loop_repository,
        sender,
        Custodian(content, loop_repository, grace_seconds=settings.content_grace),
        metrics,
        poll_interval=settings.poll_interval,
        relay_delay=settings.relay_delay,
        heads_url=settings.heads_url,
    )
    return Services(
        settings=settings,
        reader=reader,
        database=database,
        loop_database=loop_database,
        chain_store=store,
        repository=repository,
        mailbox=Mailbox(database),
        views=views,
        verifier=Verifier(reader, views, repository, policy),
        policy=policy,
        engine=engine,
        content=content,
        followers=Followers(settings.followers),
        change_followers=Followers(settings.followers),
        balances=tuple(Balance(reader, address) for address in sender.addresses),
        outbox=Outbox(database),
        metrics=metrics,
        sessions=Sessions(
            database,
            own_key,
            sender.address,
            deployment.rounds_domain,
            settings.own_hosts,
            Admission(reader, repository, Wei(settings.least_holding)).find_identity,
        ),
        give_receipt=partial(sign_receipt, own_key, sender.address, deployment.rounds_domain),
    )
