"""What a run leaves behind, counted from the chain and the agents' own receipts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import httpx

from commonweal.adapters.deployment import CONTRACTS
from commonweal.protocol.events import (
    EscrowRefunded,
    FeeClaimed,
    JobCreated,
    RewardClaimed,
    StakeSlashed,
)
from commonweal.protocol.manifests import ModelManifest, decode_manifest, manifest_cid
from commonweal.protocol.receipts import Outcome
from node_agent.journal import Journal
from node_agent.receipts import Receipts, judge_receipts
from tests.chaos.network import ChaosNetwork
from tests.integration.agents_harness import STAKE

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
    agents = network.agents
    job = agents.reader.fetch_job(network.job, agents.head)
    return Findings(
        finished=job.state.name == "COMPLETED",
        model=find_model(network),
        wei_lost=count_lost_wei(network),
        slashes=len(agents.events(network.job, StakeSlashed)),
        duplicates=count_duplicates(network),
        lost=count_broken_promises(network),
    )


def find_model(network: ChaosNetwork) -> str | None:
    """The weights themselves: the manifest around them names judges' scores, drawn by lot."""
    models = network.agents.models(network.job)
    if not models:
        return None
    cid = manifest_cid(models[-1])
    for coordinator in network.coordinators:
        url = f"{coordinator.url}/ipfs/{cid}?format=raw"
        answer = httpx.get(url, trust_env=False, timeout=10)
        if answer.status_code == 200:
            manifest = decode_manifest(answer.content)
            assert isinstance(manifest, ModelManifest)
            return manifest.weights
    return None


def count_lost_wei(network: ChaosNetwork) -> int:
    """Deposits, less what was paid out, against what the contracts hold."""
    agents, reader = network.agents, network.agents.reader
    taken = sum(event.escrow for event in agents.events(network.job, JobCreated))
    taken += STAKE * len(agents.agents)
    for kind in (EscrowRefunded, RewardClaimed, FeeClaimed):
        taken -= sum(event.amount for event in agents.events(network.job, kind))
    contracts = [reader.deployment[name] for name in CONTRACTS]
    held = sum(reader.fetch_balance(contract, agents.head) for contract in set(contracts))
    return abs(taken - held)


def count_duplicates(network: ChaosNetwork) -> int:
    """Messages that were mined with effect more than once."""
    reader = network.agents.reader
    rounds = reader.deployment["Rounds"]
    calls: Counter[bytes] = Counter()
    for number in range(reader.deployment.deployed_block, network.agents.head + 1):
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
    """Messages that a coordinator took and the chain never saw; the agents must be stopped."""
    broken = 0
    for agent in network.agents.agents:
        domain = network.agents.reader.deployment.rounds_domain
        journal = Journal(agent.folder / "journal.db", domain)
        kept = Receipts(journal, domain).all()
        journal.close()
        outcomes = judge_receipts(network.agents.reader, kept)
        broken += sum(outcome is Outcome.BROKEN for outcome in outcomes)
    return broken
