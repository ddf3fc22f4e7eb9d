"""`weal demo`: seven nodes, two of them cheats, one job from escrow to payment, verified."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.client import Client, fetch_weights
from commonweal.devnet.follow import Evaluate, Follower
from commonweal.devnet.network import TOKEN, AgentPlan, Network, find_checkout
from commonweal.devnet.processes import interruptible
from commonweal.devnet.results import (
    Money,
    ProviderResult,
    RoundResult,
    compute_money,
    compute_providers,
    compute_rounds,
)
from commonweal.devnet.screen import Screen
from commonweal.errors import Unavailable
from commonweal.extras import require_extra
from commonweal.jobfile import JobFile, load_job_file
from commonweal.learning.data import digits_test_part
from commonweal.learning.weights import decode_weights, shapes_of
from commonweal.protocol.manifests import manifest_cid
from commonweal.protocol.types import Digest, Role
from commonweal.verification import Report
from commonweal.verification.collect import fetch_sources, verify_job

WANTED_ACCURACY = 0.93
STALL_SECONDS = 180.0
POLL_SECONDS = 0.25
_BOTH = Role.TRAINER | Role.VALIDATOR
PLANS = (
    *(AgentPlan(f"honest-{number}", _BOTH) for number in range(1, 6)),
    AgentPlan("sign-flip", Role.TRAINER, "sign-flip"),
    AgentPlan("noise", Role.TRAINER, "noise"),
)


class JobStalled(Unavailable):
    code = "job-stalled"


@dataclass(frozen=True, slots=True)
class DemoResult:
    rounds: list[RoundResult]
    providers: list[ProviderResult]
    money: Money
    report: Report
    model: Digest | None
    seconds: float

    @property
    def conditions(self) -> dict[str, bool]:
        honest = [each for each in self.providers if each.behaviour == "honest"]
        cheats = [each for each in self.providers if each.behaviour != "honest"]
        accuracies = [each.accuracy for each in self.rounds if each.accuracy is not None]
        final = accuracies[-1] if accuracies else 0.0
        return {
            f"final accuracy {final:.3f} is at least {WANTED_ACCURACY}": final >= WANTED_ACCURACY,
            "every honest trainer earned": all(each.earned_wei > 0 for each in honest),
            "the cheats earned nothing": all(each.earned_wei == 0 for each in cheats),
            "deposits = held + paid + refunded, to the wei": self.money.adds_up,
            "chain and content verified, coordinator stopped": self.report.ok,
        }

    @property
    def ok(self) -> bool:
        return all(self.conditions.values())

    def to_json(self) -> dict[str, Any]:
        shown = ("round", "accuracy", "gas", "gas_per_verified_update", "seconds")
        rounds = [asdict(each) for each in self.rounds if each.accuracy is not None]
        return {
            "rounds": [{name: each[name] for name in shown} for each in rounds],
            "providers": [asdict(each) for each in self.providers],
            "money": asdict(self.money),
            "verify": {"ok": self.report.ok, "checks": len(self.report.checks)},
            "model_cid": manifest_cid(self.model) if self.model else None,
            "seconds": round(self.seconds, 1),
        }


def run_demo(
    *, rounds: int, seed: int, keep: bool, data_dir: Path | None, console: Console
) -> DemoResult:
    """Everything from an empty folder to the final tables.

    Leaves no process behind, unless `keep` is given and it got to the end. A temporary folder
    stays only if it may be needed: after a failure, or with `keep`.
    """
    require_extra("torch")
    started = time.monotonic()
    folder = data_dir or Path(tempfile.mkdtemp(prefix="weal-demo-"))
    network = Network(folder.resolve(), PLANS, seed=seed, outlives=keep)
    job_file = _load_demo_job(rounds, seed)
    threading.Thread(target=_import_torch, daemon=True).start()
    screen = Screen(console)
    screen.say(f"Everything of this run is in {folder}")
    with interruptible(), network, screen:
        result = _Demo(network, screen, job_file, started).run()
        if keep:
            network.detach()
            screen.say(describe_kept(network))
    if result.ok and not keep and data_dir is None:
        shutil.rmtree(folder, ignore_errors=True)
    return result


@dataclass(slots=True)
class _Demo:
    network: Network
    screen: Screen
    job_file: JobFile
    started: float

    def run(self) -> DemoResult:
        self._start()
        job, first_block = self._submit()
        follower = self._follow(job, first_block)
        self._settle(follower)
        self.network.stop_coordinator()
        self.screen.say("The coordinator is stopped. Rechecking the job from chain and content …")
        report = self._verify(job)
        result = self._collect(follower, report)
        self._show(result)
        return result

    def _start(self) -> None:
        network = self.network
        self.screen.say("Starting a Hardhat node and deploying the contracts …")
        network.start_chain()
        self.screen.say(f"Starting the coordinator and {len(network.plans)} agents …")
        network.start_programs()
        network.wait_until_ready()
        names = {str(agent.owner.address): agent.plan.name for agent in network.agents}
        self.screen.name_providers(names)

    def _submit(self) -> tuple[int, int]:
        network = self.network
        first_block = network.reader.fetch_head().number
        terms = self.job_file.terms.model_copy(
            update={"coordinator": network.key("coordinator").address}
        )
        with Client(network.coordinator_url) as client:
            job = client.submit(
                JobFile(self.job_file.spec, terms),
                reader=network.reader,
                account=network.key("requester").account,
                scratch=network.data_dir / "requester",
            )
        self.screen.say(f"Job {job}: {self.job_file.escrow / TOKEN:,.0f} tokens in escrow.")
        return job, first_block

    def _follow(self, job: int, first_block: int) -> Follower:
        follower = Follower(self.network.reader, job, self._make_evaluate(), first_block)
        moved = time.monotonic()
        while not follower.state.is_over:
            self.network.require_alive()
            if follower.poll():
                moved = time.monotonic()
                self.screen.show_progress(follower)
            elif time.monotonic() - moved > STALL_SECONDS:
                raise _explain_stall(follower, self.network.data_dir)
            time.sleep(POLL_SECONDS)
        self.screen.end_progress()
        return follower

    def _make_evaluate(self) -> Evaluate:
        spec, test = self.job_file.spec, digits_test_part(self.network.seed)
        urls = [self.network.coordinator_url, *(agent.url for agent in self.network.agents)]
        store = EmbeddedStore(self.network.data_dir / "requester")
        fetcher = ContentFetcher(store, lambda: urls)

        def evaluate_model(digest: Digest) -> float:
            from commonweal.learning.training import evaluate

            data = fetch_weights(fetcher, digest, spec)
            weights = decode_weights(data, shapes_of(spec.model))
            return float(evaluate(spec, weights, test).accuracy)

        return evaluate_model

    def _settle(self, follower: Follower) -> None:
        """Pay everybody out: rewards and fee are pulled, the rest of the escrow goes back."""
        network, job = self.network, follower.job
        requester, head = network.key("requester"), network.reader.fetch_head().number
        for member in network.reader.fetch_members(job, head):
            if member.credit:
                intent, provider = f"claim:{job}:{member.member}", member.provider
                network.send(requester, intent, "JobBoard", "claim", provider, [job])
        coordinator = network.key("coordinator").address
        if network.reader.fetch_fees(coordinator, head):
            network.send(requester, f"fees:{job}", "JobBoard", "claimFees", coordinator)
        if network.reader.fetch_job(job, head).escrow:
            network.send(requester, f"refund:{job}", "JobBoard", "refund", job)

    def _verify(self, job: int) -> Report:
        reader = self.network.reader
        with tempfile.TemporaryDirectory() as empty_store:
            store = EmbeddedStore(Path(empty_store))
            return verify_job(reader, job, store, fetch_sources(reader, job))

    def _collect(self, follower: Follower, report: Report) -> DemoResult:
        reader = self.network.reader
        head = reader.fetch_head().number
        events = reader.fetch_events(reader.deployment.deployed_block, head)
        models = [round_.model for round_ in follower.rounds.values() if round_.model]
        return DemoResult(
            rounds=compute_rounds(reader, follower, head),
            providers=compute_providers(self.network, follower, events, head),
            money=compute_money(reader, events, head),
            report=report,
            model=models[-1] if models else None,
            seconds=time.monotonic() - self.started,
        )

    def _show(self, result: DemoResult) -> None:
        self.screen.show_rounds(result.rounds)
        self.screen.show_providers(result.providers)
        self.screen.show_money(result.money)
        self.screen.show_verification(result.report)
        self.screen.say(f"Final model {result.to_json()['model_cid']}, {result.seconds:.0f} s")
        self.screen.show_conditions(result.conditions)
        if not self.network.outlives:
            self.screen.say("To look at it again: weal demo --keep leaves the network running.")


def describe_kept(network: Network) -> str:
    return (
        f"The network is left running: chain {network.rpc_url}, "
        f"coordinator {network.coordinator_url}.\n"
        f"Look again: weal verify 1 --rpc {network.rpc_url} "
        f"--deployment {network.deployment_file}\n"
        f"Stop it:    weal stop --data-dir {network.data_dir}"
    )


def _explain_stall(follower: Follower, folder: Path) -> JobStalled:
    last = max(follower.rounds, default=0)
    phase = follower.rounds[last].phase.name.lower() if last else "recruiting"
    message = f"job {follower.job} has not moved for {STALL_SECONDS:g} s in round {last}, {phase}"
    return JobStalled(f"{message}; the logs are in {folder}", round=last, phase=phase)


def _load_demo_job(rounds: int, seed: int) -> JobFile:
    """The shipped example, with the number of rounds and the seed asked for."""
    example = load_job_file(find_checkout() / "examples" / "digits.yaml")
    training = example.spec.training.model_copy(update={"seed": seed})
    terms = {"rounds": rounds, "max_trainers": len(PLANS), "escrow": None}
    return JobFile(
        example.spec.model_copy(update={"training": training}),
        example.terms.model_copy(update=terms),
    )


def _import_torch() -> None:
    """It takes seconds, which the network needs to come up anyway."""
    import torch

    import commonweal.learning.training  # noqa: F401

    torch.set_num_threads(1)
