"""Puts one node together from its configuration, runs it, and takes it apart again."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import structlog
import typer
from eth_account.signers.local import LocalAccount
from sqlalchemy import create_engine

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import ContentStore
from commonweal.adapters.deployment import load_deployment
from commonweal.adapters.http import open_client
from commonweal.adapters.keystore import load_account, read_password
from commonweal.adapters.listening import write_endpoint
from commonweal.adapters.rpc import ChainUnavailable
from commonweal.adapters.sign_in import SignIn
from commonweal.adapters.transactions import Outbox, TransactionSender, create_outbox_tables
from commonweal.errors import CommonwealError
from commonweal.extras import require_extra
from commonweal.garbage import collect_seldom
from commonweal.protocol.types import Address, Role, Wei
from node_agent.agent import Agent
from node_agent.chainlog import ChainLog
from node_agent.config import NodeConfig
from node_agent.decisions import Policy
from node_agent.duties import Duties
from node_agent.errors import NodeRunning, NotRegistered
from node_agent.housekeeping import keep_room
from node_agent.journal import Journal
from node_agent.judging import Judge
from node_agent.juror import Juror
from node_agent.keeper import Keeper
from node_agent.livescreen import LiveScreen
from node_agent.localdata import LocalDataLibrary
from node_agent.models import ModelLibrary
from node_agent.notices import choose_logs
from node_agent.receipts import Receipts
from node_agent.senders import DirectSender, MessageSender, RelaySender
from node_agent.server import ContentServer
from node_agent.signer import Signer
from node_agent.sources import ContentSources, Publisher
from node_agent.trainer import LocalTrainer, Trainer
from node_agent.validator import UpdateReader
from node_agent.view import ViewReader

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Chain:
    """What every command needs: reads, and transactions of one of the node's keys."""

    reader: ChainReader
    config: NodeConfig

    def fetch_provider(self, operator: Address) -> Address:
        """Raises NotRegistered if the operator belongs to nobody."""
        if self.config.provider is not None:
            return Address(self.reader.web3.to_checksum_address(self.config.provider))
        head = self.reader.fetch_head().number
        provider = self.reader.fetch_provider_of_operator(operator, head)
        if provider is None:
            message = f"no provider has the operator {operator}: `weal-node register` comes first"
            raise NotRegistered(message, operator=operator)
        return provider

    def sender(self, account: LocalAccount) -> TransactionSender:
        path = self.config.data_dir / "outbox.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        engine = create_engine(f"sqlite:///{path}")
        create_outbox_tables(engine)
        return TransactionSender(self.reader, account, Outbox(engine))


def open_chain(config: NodeConfig) -> Chain:
    """Raises WrongChain at once; a chain that is away may come back."""
    reader = ChainReader(config.rpc_url, load_deployment(config.deployment))
    with suppress(ChainUnavailable):
        _ = reader.chain_id
    return Chain(reader, config)


def open_key(keystore: Path, password_file: Path | None) -> LocalAccount:
    """The password comes from the file, or from a prompt if there is none."""
    if password_file is not None and (password_file.exists() or not sys.stdin.isatty()):
        return load_account(keystore, read_password(password_file))
    password = typer.prompt(f"Password of {keystore}", hide_input=True, err=True)
    return load_account(keystore, password)


def open_operator(config: NodeConfig) -> LocalAccount:
    return open_key(config.keys.operator, config.keys.operator_password)


def open_store(config: NodeConfig) -> ContentStore:
    """A Kubo daemon if the configuration names one, else a store of the node's own."""
    if config.content.kubo is not None:
        from commonweal.adapters.content.kubo import KuboStore

        return KuboStore(config.content.kubo)
    return EmbeddedStore(config.data_dir / "content", config.content.max_bytes)


def run_node(
    config: NodeConfig,
    stop: threading.Event,
    *,
    direct: bool = False,
    trainer: Trainer | None = None,
    screen: LiveScreen | None = None,
) -> None:
    """Serve content and work on jobs until `stop` is set. Raises NodeRunning."""
    with _hold(config.data_dir / "lock"):
        _run_alone(config, stop, direct=direct, trainer=trainer, screen=screen)


def _run_alone(
    config: NodeConfig,
    stop: threading.Event,
    *,
    direct: bool,
    trainer: Trainer | None,
    screen: LiveScreen | None,
) -> None:
    require_extra("torch")
    chain = open_chain(config)
    account = open_operator(config)
    store = open_store(config)
    with _serve(config, store) as endpoint, open_client() as client:
        node = build_node(
            chain, account, store, client, direct=direct, trainer=trainer, screen=screen
        )
        use_large_pages()
        limit_gpu(config.gpu.share)
        threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
        if isinstance(store, EmbeddedStore):
            threading.Thread(target=keep_room, args=(store, stop), name="room", daemon=True).start()
        node.announce(config.content.public_url or endpoint)
        log.info("node runs", provider=node.provider, operator=account.address, direct=direct)
        node.recover()
        node.agent.run(stop)
        node.journal.close()


def use_large_pages() -> None:
    """Before torch is used: a large model's tensors come in pages of 2 MiB, where Linux has them.

    In pages of 4 KiB the kernel takes longer to hand them out than a validator to use them.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def limit_gpu(share: float) -> None:
    """Before torch is used: with no share it sees no GPU, else it allocates no more than that."""
    if share == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    if share < 1:
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(share)


def warm_up() -> None:
    """Load what training needs while the node still joins: seconds that no phase should lose."""
    import torch

    torch.set_num_threads(1)
    collect_seldom()


@dataclass(frozen=True, slots=True)
class Node:
    provider: Address
    agent: Agent
    journal: Journal
    chain: Chain
    chain_log: ChainLog
    transactions: TransactionSender
    direct_sender: DirectSender

    def recover(self) -> None:
        """Broadcast again what a crash left behind; the loop asks again for all else."""
        try:
            self.transactions.recover()
        except CommonwealError as error:
            log.warning("earlier transactions not settled", code=error.code, reason=error.message)

    def announce(self, endpoint: str) -> None:
        """Say on chain where this node serves, if that has changed and there is gas for it."""
        try:
            self._announce(endpoint)
        except CommonwealError as error:
            log.warning("endpoint not announced", code=error.code, reason=error.message)

    def _announce(self, endpoint: str) -> None:
        head = self.chain.reader.fetch_head().number
        last = self.chain_log.announcements(head).get(self.provider)
        if last is not None and last.endpoint == endpoint:
            return
        if not self.direct_sender.has_gas():
            log.warning("endpoint not announced", code="no-gas", endpoint=endpoint)
            return
        capabilities = bytes(32) if last is None else bytes(last.capabilities)
        block = 0 if last is None else last.ref.block_number
        self.transactions.send(
            f"announce:{block}:{endpoint}",
            "ProviderRegistry",
            "announce",
            self.provider,
            endpoint,
            capabilities,
        )


def build_node(
    chain: Chain,
    account: LocalAccount,
    store: ContentStore,
    client: httpx.Client,
    *,
    direct: bool,
    trainer: Trainer | None,
    screen: LiveScreen | None = None,
) -> Node:
    config, reader = chain.config, chain.reader
    provider = chain.fetch_provider(Address(account.address))
    deployment = reader.deployment
    chain_log = ChainLog(reader, deployment.deployed_block)
    transactions = chain.sender(account)
    own_way = DirectSender(reader, Address(account.address), chain_log, transactions)
    coordinators = () if direct else config.coordinator
    sources = ContentSources(
        (*config.coordinator, *config.content.gateways),
        chain_log,
        provider,
        lambda: reader.fetch_head().number,
    )
    sign_in = SignIn(account, deployment.rounds_domain, client)
    fetcher = ContentFetcher(store, sources, authorise=sign_in)
    journal = Journal(config.data_dir / "journal.db", deployment.rounds_domain)
    sender: MessageSender = own_way
    if coordinators:
        patience = config.timing.relay_patience
        receipts = Receipts(journal, deployment.rounds_domain)
        sender = RelaySender(
            coordinators, client, own_way, patience=patience, take_receipt=receipts.take
        )
    signer = Signer(bytes(account.key), deployment, provider)
    models = ModelLibrary(store, fetcher)
    duties = Duties(
        journal=journal,
        store=store,
        signer=signer,
        sender=sender,
        publisher=Publisher(fetcher, coordinators),
        chain_log=chain_log,
        models=models,
        data=_open_data(config, fetcher),
        updates=UpdateReader(store, fetcher),
        trainer=trainer or LocalTrainer(None if screen is None else screen.note_progress),
        allowlist_proofs={k.lower(): v for k, v in config.jobs.allowlist_proofs.items()},
    )
    policy = _policy(config)
    stagger = config.timing.keeper_stagger
    keeper = Keeper(
        chain_log,
        own_way,
        reader.fetch_header,
        patience=config.timing.keeper_patience if coordinators else 0.0,
        stagger=stagger,
    )
    judge = Judge(reader, models, UpdateReader(store, fetcher))
    juror = Juror(reader, provider, judge, journal, signer, own_way, stagger=stagger)
    views = ViewReader(reader, provider)
    agent = Agent(
        views,
        duties,
        keeper,
        juror,
        policy,
        poll_interval=config.timing.poll_interval,
        choice=choose_logs(deployment),
        heads_url=config.heads_url,
        watcher=None if screen is None else partial(screen.watch, chain_log),
    )
    return Node(provider, agent, journal, chain, chain_log, transactions, own_way)


def _open_data(config: NodeConfig, fetcher: ContentFetcher) -> LocalDataLibrary:
    jobs = config.jobs
    most = None if jobs.max_memory_mib is None else jobs.max_memory_mib * 2**20
    return LocalDataLibrary(config.data, fetcher, jobs.max_parameters, jobs.families, most)


def _policy(config: NodeConfig) -> Policy:
    allow, most = config.jobs.allow, config.jobs.max_stake_per_job
    return Policy(
        roles=Role(config.role_set),
        stake_per_job=Wei(config.jobs.stake_per_job or 0),
        max_stake_per_job=None if most is None else Wei(most),
        allowed=None if allow == "all" else frozenset(allow),
        requesters=frozenset(map(Address, config.jobs.requesters)) or None,
        min_pay_per_round=Wei(config.jobs.min_pay_per_round or 0),
        hours=config.jobs.hours,
    )


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    """One process per folder: two with one key would soon sign two values for one slot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another process works in {path.parent}"
            raise NodeRunning(message, folder=str(path.parent)) from error
        yield


@contextmanager
def _serve(config: NodeConfig, store: ContentStore) -> Iterator[str]:
    server = ContentServer(store, config.content.host, config.content.port)
    server.start()
    write_endpoint(config.endpoint_file, server.url)
    log.info("content served", url=server.url)
    try:
        yield server.url
    finally:
        server.stop()
