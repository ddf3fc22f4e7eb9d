"""Many agents at one coordinator: what they download, hand in and ask for, all over HTTP.

The job is real: every agent is registered and a member, its messages are signed, and the
coordinator brings them to the chain while it answers. The agents are keys and connections here,
each from a loopback address of its own, since requests are limited by address.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from pydantic import BaseModel

from bench.gas import PROJECT
from bench.round_driver import Messages, Network, build_network
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.keystore import create_keystore
from commonweal.adapters.local_chain import LocalChain, fund
from commonweal.devnet.processes import Child, stop_all
from commonweal.protocol.types import Phase, Wei
from tests.postgres import PostgresServer

COMMITTEE = 5
MODEL_BYTES = 400_000  # 100 k parameters as float32
_COINS = Wei(1_000 * 10**18)
_START_SECONDS, _MINE_SECONDS = 60.0, 300.0
_HEARTBEAT_SECONDS = 2.0  # as often as an agent asks what became of its message


@dataclass
class Meter:
    """Milliseconds of every request, by kind; what was answered otherwise than hoped, counted."""

    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)  # and by how it went wrong

    def summarise(self) -> dict[str, dict[str, Any]]:
        return {kind: self._summarise(kind) for kind in self.times}

    def _summarise(self, kind: str) -> dict[str, Any]:
        times = self.times[kind]
        p50, p95, p99 = np.percentile(times, (50, 95, 99))
        found = {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": max(times)}
        rounded = {name: round(float(value), 1) for name, value in found.items()}
        errors = {how: count for (of, how), count in self.errors.items() if of == kind}
        return {"count": len(times), "errors": errors, **rounded}


@dataclass(frozen=True, slots=True)
class Load:
    agents: int
    requests: dict[str, dict[str, Any]]  # by kind: count, errors, percentiles in milliseconds
    messages_per_s: float  # accepted in a burst: the second message, of all agents at once
    mined_after_s: float  # from the last first message until all agents know theirs on chain
    memory_mb: float  # the coordinator's peak
    coordinator_cpu_s: float


@dataclass(frozen=True)
class Agents:
    """Each has a connection of its own."""

    url: str
    sessions: Sequence[aiohttp.ClientSession]
    meter: Meter

    async def ask(self, agent: int, kind: str, method: str, path: str, **options: Any) -> Any:
        """The answer's JSON, or its length; None if it went wrong."""
        started = time.perf_counter()
        try:
            async with self.sessions[agent].request(method, self.url + path, **options) as answer:
                body = await answer.read()
                outcome = "" if answer.status < 300 else f"HTTP {answer.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            body, outcome = b"", type(error).__name__
        self.meter.times[kind].append(1000 * (time.perf_counter() - started))
        if outcome:
            self.meter.errors[kind, outcome] += 1
            return None
        return await answer.json() if answer.content_type == "application/json" else len(body)

    async def post(self, agent: int, message: BaseModel) -> str:
        """Its id, however often it has to be handed in. Raises TimeoutError."""
        body = message.model_dump(mode="json")
        async with asyncio.timeout(_MINE_SECONDS):
            while True:
                answer = await self.ask(agent, "message", "POST", "/v1/messages", json=body)
                if answer is not None:
                    return str(answer["id"])
                await asyncio.sleep(_HEARTBEAT_SECONDS)

    async def play(self, agent: int, cid: str, message: BaseModel, delay: float) -> None:
        """Fetches the model, hands its commitment in, and asks for it until it is on chain."""
        await asyncio.sleep(delay)
        await self.ask(agent, "download", "GET", f"/ipfs/{cid}?format=raw")
        posted = await self.post(agent, message)
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            answer = await self.ask(agent, "heartbeat", "GET", f"/v1/messages/{posted}")
            if answer is not None and answer["state"] == "mined":
                return


def measure_load(agents: int, spread: float, seed: int = 0) -> Load:
    """`spread`: seconds over which the agents come with their first message."""
    _allow_connections(2 * agents + 200)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-load-")))
        chain = stack.enter_context(LocalChain(PROJECT))
        postgres = stack.enter_context(PostgresServer())
        network = build_network(chain.rpc_url, agents, COMMITTEE, rounds=2)
        cid = EmbeddedStore(folder / "content").put(random.Random(seed).randbytes(MODEL_BYTES))
        database = postgres.create_database("coordinator")
        child, url = stack.enter_context(_coordinator(folder, network, database))
        return asyncio.run(_play(network, url, child, cid, agents, spread, seed))


async def _play(
    network: Network, url: str, child: Child, cid: str, agents: int, spread: float, seed: int
) -> Load:
    chance, messages = random.Random(seed), Messages(network, round=1)
    commitments = [messages.commitment(member) for member in range(agents)]
    reveals = [messages.reveal(member) for member in range(agents)]
    crowd = Agents(url, [_open_session(agent) for agent in range(agents)], Meter())
    try:
        delays = [chance.uniform(0, spread) for _ in range(agents)]
        started = time.perf_counter()
        turns = zip(range(agents), commitments, delays, strict=True)
        plays = (crowd.play(agent, cid, message, delay) for agent, message, delay in turns)
        await asyncio.gather(*plays)
        mined = time.perf_counter() - started - max(delays)
        await _wait_for_reveals(network)
        burst = Agents(url, crowd.sessions, Meter())
        started = time.perf_counter()
        await asyncio.gather(*map(burst.post, range(agents), reveals))
        rate = agents / (time.perf_counter() - started)
    finally:
        await asyncio.gather(*(session.close() for session in crowd.sessions))
    requests = crowd.meter.summarise() | {"burst": burst.meter.summarise()["message"]}
    assert child.pid is not None
    memory, cpu = read_peak_memory(child.pid), read_cpu(child.pid)
    return Load(agents, requests, rate, mined, memory, cpu)


async def _wait_for_reveals(network: Network) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(_MINE_SECONDS):
        while True:
            head = network.reader.fetch_head().number
            if network.reader.fetch_round(network.job, head).phase is Phase.REVEAL:
                return
            await asyncio.sleep(0.2)


def _open_session(agent: int) -> aiohttp.ClientSession:
    address = f"127.1.{agent // 250}.{agent % 250 + 1}"
    connector = aiohttp.TCPConnector(limit=1, local_addr=(address, 0))
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(120))


@contextmanager
def _coordinator(folder: Path, network: Network, database: str) -> Iterator[tuple[Child, str]]:
    key, password = folder / "key.json", folder / "password"
    password.touch(mode=0o600)
    password.write_text("test\n")
    fund(network.reader.rpc_url, create_keystore(key, "test", light=True), _COINS)
    network.reader.deployment.save(folder / "deployment.json")
    options = {
        "--rpc-url": network.reader.rpc_url,
        "--deployment": folder / "deployment.json",
        "--data-dir": folder,
        "--database-url": database,
        "--keystore": key,
        "--password-file": password,
        "--port": 0,
    }
    arguments = [str(part) for pair in options.items() for part in pair]
    child = Child("coordinator", [sys.executable, "-m", "service", "run", *arguments], folder)
    child.start()
    try:
        yield child, child.wait_for_endpoint(_START_SECONDS)
    finally:
        stop_all([child])


def _allow_connections(count: int) -> None:
    """For this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, count) if hard == resource.RLIM_INFINITY else min(max(soft, count), hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def read_peak_memory(pid: int) -> float:
    """MB; Linux only."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def read_cpu(pid: int) -> float:
    """Seconds, of user and system; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
