"""What a run leaves behind, counted from the chain and the agents' own receipts."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from commonweal.adapters.deployment import CONTRACTS
from commonweal.protocol.events import (
    AbsenceRecorded,
    EscrowRefunded,
    FeeClaimed,
    JobCreated,
    RewardClaimed,
    StakeSlashed,
    UnrevealedRecorded,
)
from commonweal.protocol.manifests import ModelManifest, decode_manifest, manifest_cid
from commonweal.protocol.receipts import Outcome
from node_agent.journal import Journal
from node_agent.receipts import Receipts, judge_receipts
from tests.chaos.network import ChaosNetwork
from tests.integration.agents_harness import STAKE

_CONTENT_SECONDS = 30.0
_NO_MESSAGE = 4 + 32  # bytes of a call that names a job only: `advance` is the same in every phase


@dataclass(frozen=True)
class Findings:
    finished: bool
    model: str | None  # CID of the last model's weights
    wei_lost: int
    slashes: int
    duplicates: int
    lost: int


def find(network: ChaosNetwork) -> Findings:
    """Of the network's latest job, which must be over. The agents stand still afterwards."""
    agents = network.agents
    job = agents.reader.fetch_job(network.job, agents.head)
    model = find_model(network)
    network.hold(signal.SIGSTOP)
    return Findings(
        finished=job.state.name == "COMPLETED",
        model=model,
        wei_lost=count_lost_wei(network),
        slashes=count_blamed(network),
        duplicates=count_duplicates(network),
        lost=count_broken_promises(network),
    )


def count_blamed(network: ChaosNetwork) -> int:
    """Slashes, and duties put on record as missed, which would be slashed later."""
    slashes = len(network.all_events(StakeSlashed)) - network.slashes_before
    kinds = (UnrevealedRecorded, AbsenceRecorded)
    return slashes + sum(len(network.agents.events(network.job, kind)) for kind in kinds)


def find_model(network: ChaosNetwork) -> str | None:
    """The weights themselves: the manifest around them names judges' scores, drawn by lot."""
    models = network.agents.models(network.job)
    if not models:
        return None
    cid, deadline = manifest_cid(models[-1]), time.monotonic() + _CONTENT_SECONDS
    while time.monotonic() < deadline:  # a coordinator may have been away when it was published
        for url in network.content_urls():
            with suppress(httpx.HTTPError):
                answer = httpx.get(f"{url}/ipfs/{cid}?format=raw", trust_env=False, timeout=10)
                if answer.status_code == 200:
                    manifest = decode_manifest(answer.content)
                    assert isinstance(manifest, ModelManifest)
                    return manifest.weights
        time.sleep(0.5)
    return None


def count_lost_wei(network: ChaosNetwork) -> int:
    """Deposits, less what was paid out, against what the contracts hold."""
    agents, reader = network.agents, network.agents.reader
    taken = sum(event.escrow for event in network.all_events(JobCreated))
    taken += STAKE * len(agents.agents)
    for kind in (EscrowRefunded, RewardClaimed, FeeClaimed):
        taken -= sum(event.amount for event in network.all_events(kind))
    contracts = [reader.deployment[name] for name in CONTRACTS]
    held = sum(reader.fetch_balance(contract, agents.head) for contract in set(contracts))
    return abs(taken - held)


def count_duplicates(network: ChaosNetwork) -> int:
    """Messages that were mined with effect more than once, since the job was opened."""
    reader = network.agents.reader
    rounds = reader.deployment["Rounds"]
    calls: Counter[bytes] = Counter()
    for number in range(network.first_block, network.agents.head + 1):
        block = reader.web3.eth.get_block(number, full_transactions=True)
        for transaction in block["transactions"]:
            assert not isinstance(transaction, bytes)
            data = bytes(transaction["input"])
            if transaction.get("to") != rounds or len(data) <= _NO_MESSAGE:
                continue
            receipt = reader.web3.eth.get_transaction_receipt(transaction["hash"])
            calls[data] += receipt["status"]
    return sum(count - 1 for count in calls.values() if count > 1)


def count_broken_promises(network: ChaosNetwork) -> int:
    """Messages that a coordinator took and the chain never saw; the agents must stand still."""
    broken = 0
    for agent in network.agents.agents:
        domain = network.agents.reader.deployment.rounds_domain
        with tempfile.TemporaryDirectory() as copy:
            for file in agent.folder.glob("journal.db*"):  # its owner goes on with the original
                shutil.copy(file, copy)
            journal = Journal(Path(copy) / "journal.db", domain)
            kept = Receipts(journal, domain).all()
            journal.close()
        of_job = [each for each in kept if each.message.job == network.job]
        outcomes = judge_receipts(network.agents.reader, of_job)
        broken += sum(outcome is Outcome.BROKEN for outcome in outcomes)
    return broken
