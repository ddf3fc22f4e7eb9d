"""`weal dev`: the local network, kept running, with everything a developer needs to use it."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from rich.console import Console

from commonweal.devnet.network import AgentPlan, Network, find_checkout
from commonweal.devnet.processes import interruptible
from commonweal.protocol.types import Role

WATCH_SECONDS = 0.5
LARGEST_COMMITTEE = 5
FEWEST_AGENTS = 3  # below: too few updates to compare


def run_dev(*, agents: int, data_dir: Path | None, seed: int, console: Console) -> None:
    """Runs until it is interrupted; raises ProcessDied when a program ends by itself."""
    folder = (data_dir or Path(tempfile.mkdtemp(prefix="weal-dev-"))).resolve()
    example = find_checkout() / "examples" / "digits.yaml"
    both = Role.TRAINER | Role.VALIDATOR
    plans = [AgentPlan(f"agent-{number}", both) for number in range(1, agents + 1)]
    with interruptible(), Network(folder, plans, seed=seed) as network:
        console.print("Starting the chain, the coordinator and the agents …")
        network.start_chain()
        network.start_programs()
        network.wait_until_ready()
        job_file = folder / "job.yaml"
        job_file.write_text(adapt_job(example.read_text(), agents))
        console.print(describe(network, job_file), highlight=False, markup=False, soft_wrap=True)
        try:
            while True:
                network.require_alive()
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            console.print("Stopping …")


def adapt_job(text: str, agents: int) -> str:
    """A job file for exactly this many agents: it starts as soon as they have all joined."""
    trainers = max(agents, 1)
    committee = min(trainers - 1 + trainers % 2, LARGEST_COMMITTEE)
    terms = {"min_trainers": trainers, "max_trainers": trainers, "committee_size": committee}
    for name, value in terms.items():
        text, found = re.subn(rf"(?m)^(  {name}:) .*$", rf"\1 {value}", text)
        assert found == 1, f"the example has no {name}"
    header = f"# examples/digits.yaml for the {agents} agents of this local network.\n"
    return header + re.sub(r"\A(#.*\n)+", "", text)


def describe(network: Network, job_file: Path) -> str:
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
        f"coordinator   {network.coordinator_url}",
        f"its API       {network.coordinator_url}/openapi.json",
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
        *describe_job(job_file, len(network.agents)),
        "weal fund ADDRESS --tokens 1000 --eth 1   # for a node of your own: its owner's address",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def describe_job(job_file: Path, agents: int) -> list[str]:
    if agents >= FEWEST_AGENTS:
        why = f"starts once all {agents} agents have joined"
    elif agents:
        why = f"runs, but {agents} of at least {FEWEST_AGENTS} agents: too few updates to compare"
    else:
        why = "waits: there are no agents here; `weal-node init` makes one"
    return [f"weal job submit {job_file}   # {why}", "weal job watch 1"]
