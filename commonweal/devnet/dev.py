"""`weal dev`: the local network, kept running, with everything a developer needs to use it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rich.console import Console

from commonweal.devnet.network import AgentPlan, Network
from commonweal.devnet.processes import interruptible
from commonweal.protocol.types import Role

WATCH_SECONDS = 0.5


def run_dev(*, agents: int, data_dir: Path | None, seed: int, console: Console) -> None:
    """Runs until it is interrupted; raises ProcessDied when a program ends by itself."""
    folder = (data_dir or Path(tempfile.mkdtemp(prefix="weal-dev-"))).resolve()
    both = Role.TRAINER | Role.VALIDATOR
    plans = [AgentPlan(f"agent-{number}", both) for number in range(1, agents + 1)]
    with interruptible(), Network(folder, plans, seed=seed) as network:
        console.print("Starting the chain, the coordinator and the agents …")
        network.start_chain()
        network.start_programs()
        network.wait_until_ready()
        console.print(describe(network), highlight=False, markup=False, soft_wrap=True)
        try:
            while True:
                network.require_alive()
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            console.print("Stopping …")


def describe(network: Network) -> str:
    """Addresses, keys and URLs, and the environment that the `weal` command reads."""
    requester = network.key("requester")
    environment = {
        "WEAL_URL": network.coordinator_url,
        "WEAL_RPC": network.rpc_url,
        "WEAL_DEPLOYMENT": network.deployment_file,
        "WEAL_KEYSTORE": requester.keystore,
        "WEAL_PASSWORD_FILE": requester.password_file,
    }
    lines = [
        "",
        f"chain         {network.rpc_url} (chain id {network.reader.chain_id})",
        f"coordinator   {network.coordinator_url} (its API: {network.coordinator_url}/docs)",
        *(f"{agent.plan.name:13} {agent.url}" for agent in network.agents),
        f"logs, stores  {network.data_dir}",
        "",
        *(f"{name:18} {at}" for name, at in network.reader.deployment.contracts.items()),
        "",
        f"keys          {network.data_dir / 'keys'} (NAME.json, its password in NAME.password)",
        *(f"  {name:20} {key.address}" for name, key in network.keys.items()),
        "",
        "To use it from another terminal:",
        *(f"export {name}={value}" for name, value in environment.items()),
        "weal job submit examples/digits.yaml   # it waits for 7 trainers, or an hour",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(lines)
