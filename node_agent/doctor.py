"""`weal-node doctor`: what stands in the way of working and earning, each with its remedy.

Every check looks at one thing, changes nothing that lasts, and never ends the others.
"""

from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

import httpx
from eth_account.signers.local import LocalAccount

from commonweal.adapters.chain import Block
from commonweal.adapters.http import open_client, request
from commonweal.errors import CommonwealError
from commonweal.extras import require_extra
from commonweal.funding import WHOLE
from commonweal.learning.preview import preview_data
from commonweal.protocol.types import Address, Provider
from node_agent.config import NodeConfig
from node_agent.owner import explain_registration
from node_agent.runtime import Chain, open_chain, open_operator, open_store

State = Literal["ok", "warning", "failed", "skipped"]
T = TypeVar("T")

_CLOCK_SECONDS = 120
_FREE_BYTES = 2**30
_GAS_WEI = 10**16
_ANSWER_BYTES = 2**20
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    found: str
    remedy: str | None = None


class _Skip(Exception):
    """What the check needs is missing, and another check says so."""


class Patient:
    """A node as it would run: each part is opened once, when the first check asks for it."""

    def __init__(self, config: NodeConfig, now: float) -> None:
        self.config = config
        self.now = now

    @cached_property
    def operator(self) -> LocalAccount:
        return open_operator(self.config)

    @cached_property
    def chain(self) -> Chain:
        chain = open_chain(self.config)
        _ = chain.reader.chain_id
        return chain

    @cached_property
    def head(self) -> Block:
        return self.chain.reader.fetch_head()

    @cached_property
    def owner(self) -> Address:
        return self.chain.fetch_provider(Address(self.operator.address))

    @cached_property
    def provider(self) -> Provider:
        return self.chain.reader.fetch_provider(self.owner, self.head.number)


def examine(config: NodeConfig, now: float | None = None) -> Iterator[Finding]:
    """One finding per check, as they are made; `now` in seconds since 1970."""
    patient = Patient(config, time.time() if now is None else now)
    for name, check in _CHECKS.items():
        yield from _run(name, check, patient)


def _run(name: str, check: _Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except _Skip as missing:
        yield Finding(name, "skipped", str(missing))
    except CommonwealError as error:
        remedy = f"docs/troubleshooting.md, {error.code}"
        yield Finding(name, "failed", f"{error.message} [{error.code}]", remedy)
    except OSError as error:
        yield Finding(name, "failed", str(error), "check path and permissions")


def _check_keys(patient: Patient) -> Iterator[Finding]:
    keys = patient.config.keys
    yield Finding("keys", "ok", f"operator {patient.operator.address}")
    for path in (keys.operator, keys.operator_password):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("keys", "warning", f"others can read {path}", f"chmod 600 {path}")


def _check_chain(patient: Patient) -> Iterator[Finding]:
    chain_id, head = patient.chain.reader.chain_id, patient.head
    yield Finding("chain", "ok", f"chain {chain_id}, block {head.number}")
    jobs = patient.chain.reader.fetch_job_count(head.number)
    yield Finding("contracts", "ok", f"they answer; {jobs} jobs so far")


def _check_clock(patient: Patient) -> Iterator[Finding]:
    head = _need(lambda: patient.head, "the chain")
    apart = round(patient.now - head.timestamp)
    found = f"{abs(apart)} s {'ahead of' if apart >= 0 else 'behind'} the latest block"
    if abs(apart) <= _CLOCK_SECONDS:
        yield Finding("clock", "ok", found)
        return
    remedy = "keep time by NTP; on a quiet chain the latest block may simply be old"
    yield Finding("clock", "warning", found, remedy)


def _check_provider(patient: Patient) -> Iterator[Finding]:
    _need(lambda: patient.head, "the chain")
    operator = Address(_need(lambda: patient.operator, "the operator's key").address)
    provider, register = patient.provider, explain_registration(patient.owner)
    if not provider.roles:
        yield Finding("provider", "failed", f"{patient.owner} is not registered", register)
        return
    if provider.operator != operator:
        found = f"the chain has the operator {provider.operator}, this node is {operator}"
        remedy = "have the owner name this node's operator, or use the other key"
        yield Finding("provider", "failed", found, remedy)
    if provider.jailed_until > patient.head.timestamp:
        found = f"jailed for {provider.jailed_until - patient.head.timestamp} s more"
        yield Finding("provider", "failed", found, "stay online; after that, weal-node unjail")
    yield Finding("provider", "ok", f"{provider.provider}, {provider.roles!r}")
    yield _judge_stake(provider)


def _judge_stake(provider: Provider) -> Finding:
    found = f"{provider.free / WHOLE:g} tokens free, {provider.locked / WHOLE:g} locked in jobs"
    if provider.free or provider.locked:
        return Finding("stake", "ok", found)
    return Finding("stake", "failed", found, "stake: weal-node register --stake, with the owner")


def _check_gas(patient: Patient) -> Iterator[Finding]:
    _need(lambda: patient.head, "the chain")
    address = _need(lambda: patient.operator, "the operator's key").address
    reader = patient.chain.reader
    have = reader.ask(lambda: reader.web3.eth.get_balance(address))
    if have >= _GAS_WEI:
        yield Finding("gas", "ok", f"the operator has {have / WHOLE:g} coin")
        return
    found = f"the operator has {have / WHOLE:g} coin: it cannot act when coordinators fail"
    remedy = f"send some to {address} (test network: weal fund {address} --eth 1)"
    yield Finding("gas", "warning", found, remedy)


def _check_coordinators(patient: Patient) -> Iterator[Finding]:
    if not patient.config.coordinator:
        yield Finding("coordinator", "ok", "none configured: run with --direct")
    with open_client() as client:
        for url in patient.config.coordinator:
            yield _ask_coordinator(client, url, patient)


def _ask_coordinator(client: httpx.Client, url: str, patient: Patient) -> Finding:
    remedy = "check the address; the node goes on without it while the operator has gas"
    limits = {"seconds": _ANSWER_SECONDS, "most_bytes": _ANSWER_BYTES}
    try:
        response = request(client, "GET", f"{url.rstrip('/')}/v1/network", **limits)  # type: ignore[arg-type]
        body = response.json() if response.is_success else {}
    except (httpx.HTTPError, ValueError) as error:
        found = f"{url} does not answer: {error or type(error).__name__}"
        return Finding("coordinator", "warning", found, remedy)
    chain_id = body.get("chain_id") if isinstance(body, dict) else None
    if chain_id is None:
        return Finding("coordinator", "warning", f"{url}: HTTP {response.status_code}", remedy)
    need = _need(lambda: patient.chain, "the chain").reader.chain_id
    if chain_id != need:
        found = f"{url} serves chain {chain_id}, this node is on {need}"
        return Finding("coordinator", "failed", found, "use a coordinator of this network")
    return Finding("coordinator", "ok", url)


def _check_content(patient: Patient) -> Iterator[Finding]:
    store = open_store(patient.config)
    probe = b"\xa1\x61p\x01"  # a DAG-CBOR map; not pinned, so it is collected
    cid = store.put_block(probe)
    kind = "Kubo daemon" if patient.config.content.kubo else "own store"
    if store.get_block(cid) != probe:
        yield Finding("content", "failed", f"the {kind} gives back other bytes", "check its disk")
        return
    yield Finding("content", "ok", f"the {kind} keeps and gives back")
    if patient.config.content.public_url is None:
        found = "no public_url: others fetch this node's content through coordinators only"
        yield Finding("content", "warning", found, "set content.public_url once it is reachable")


def _check_disk(patient: Patient) -> Iterator[Finding]:
    folder = patient.config.data_dir
    free = shutil.disk_usage(folder).free
    state: State = "ok" if free >= _FREE_BYTES else "warning"
    remedy = None if state == "ok" else "make room, or set content.max_bytes"
    yield Finding("disk", state, f"{free / 2**30:.1f} GiB free in {folder}", remedy)


def _check_data(patient: Patient) -> Iterator[Finding]:
    seen = preview_data(patient.config.data)
    shape = "x".join(map(str, seen.features))
    found = f"{seen.rows} rows of {shape} features, {len(seen.labels)} labels"
    yield Finding("data", "ok", f"{found}, {seen.holdout} rows kept back to judge by")
    for problem in seen.problems:
        yield Finding("data", "warning", problem, "weal-node data shows more")


def _check_training(_: Patient) -> Iterator[Finding]:
    require_extra("torch")
    import torch

    gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if gpu else "the processor (no GPU found)"
    yield Finding("training", "ok", f"torch {torch.__version__} on {device}")


def _need(get: Callable[[], T], what: str) -> T:
    try:
        return get()
    except CommonwealError as error:
        raise _Skip(f"{what} is missing") from error


_Check = Callable[[Patient], Iterator[Finding]]
_CHECKS: dict[str, _Check] = {
    "keys": _check_keys,
    "chain": _check_chain,
    "clock": _check_clock,
    "provider": _check_provider,
    "gas": _check_gas,
    "coordinator": _check_coordinators,
    "content": _check_content,
    "disk": _check_disk,
    "data": _check_data,
    "training": _check_training,
}
