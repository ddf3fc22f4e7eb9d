"""The commands of `weal-node` that only look: doctor, data, earnings."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from node_agent.cli_options import DEFAULT_CONFIG, ConfigFile, Json, show
from node_agent.config import load_config

if TYPE_CHECKING:
    from commonweal.protocol.types import Address
    from node_agent.owner import JobEarnings
    from node_agent.runtime import Chain

_MARKS = {
    "ok": "[green]ok[/]",
    "warning": "[yellow]warning[/]",
    "failed": "[red]failed[/]",
    "skipped": "[dim]skipped[/]",
}
_BAR = 40


def doctor(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Check chain, coordinators, content, clock, disk, data, stake and keys, with remedies.

    Exit status 1 if a check failed; warnings do not count.
    """
    from node_agent.doctor import examine

    console, findings = Console(highlight=False, soft_wrap=True), []
    for finding in examine(load_config(config)):
        findings.append(finding)
        if as_json:
            continue
        console.print(f"{_MARKS[finding.state]:22} {finding.check:12}", end="")
        console.print(finding.found, markup=False)
        if finding.remedy:
            console.print(f"{'':21} {finding.remedy}", markup=False)
    if as_json:
        show({"findings": [asdict(each) for each in findings]}, as_json)
    if any(each.state == "failed" for each in findings):
        sys.exit(1)


def receipts(
    config: ConfigFile = DEFAULT_CONFIG,
    all_: Annotated[bool, typer.Option("--all", help="Kept promises too.")] = False,
    as_json: Json = False,
) -> None:
    """What coordinators signed to have taken from this node, and whether they kept their word.

    A broken one is proof of censorship: with --json it has all that a stranger needs to check it.
    Void is what was not done, perhaps by this node's own doing, such as a second value for a slot.
    Exit status 1 if one was broken.
    """
    from commonweal.protocol.receipts import Outcome
    from node_agent.journal import Journal
    from node_agent.receipts import Receipts, judge_receipts
    from node_agent.runtime import open_chain

    settings = load_config(config)
    chain = open_chain(settings)
    domain = chain.reader.deployment.rounds_domain
    journal = Journal(settings.data_dir / "journal.db", domain)
    kept = Receipts(journal, domain).all()
    journal.close()
    judged = list(zip(kept, judge_receipts(chain.reader, kept), strict=True))
    counts = {outcome.value: sum(o is outcome for _, o in judged) for outcome in Outcome}
    shown = [
        {"outcome": outcome.value, **each.model_dump(mode="json")}
        for each, outcome in judged
        if all_ or outcome is not Outcome.KEPT
    ]
    show({**counts, "receipts": shown}, as_json)
    if counts[Outcome.BROKEN]:
        sys.exit(1)


def show_data(
    config: ConfigFile = DEFAULT_CONFIG,
    job_file: Annotated[
        Path | None, typer.Option(help="Check the rows against this job file's data too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What the node would train on: rows, features, labels, what is kept back; no row leaves."""
    from commonweal.jobfile import load_job_file
    from commonweal.learning.preview import preview_data

    spec = load_job_file(job_file, read_samples=False).spec.data if job_file else None
    seen = preview_data(load_config(config).data, spec)
    if as_json:
        show(asdict(seen), as_json)
        return
    shape = " x ".join(map(str, seen.features))
    typer.echo(f"{seen.rows} rows of {shape} features from {seen.least:g} to {seen.greatest:g}; ")
    kept = f"{seen.holdout} of them are kept back to judge others by"
    typer.echo(f"{kept}, where the job names no validation set")
    most = max(seen.labels.values())
    for label, count in seen.labels.items():
        typer.echo(f"  label {label:<6} {count:>8}  {'▇' * max(1, count * _BAR // most)}")
    for problem in seen.problems:
        typer.echo(f"note: {problem}")
    if spec is not None:
        typer.echo(f"They fit {job_file}.")


def earnings(
    config: ConfigFile = DEFAULT_CONFIG,
    job: Annotated[
        int | None, typer.Option(min=1, help="This job round by round, with reasons and proofs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What each job has paid, in wei: claimed already, and ready to be claimed.

    With --job: why each round paid what it paid ("why wasn't I paid?"), and with --json the
    Merkle proof of each verdict against the root on chain.
    """
    from commonweal.protocol.types import Address
    from node_agent import owner as commands
    from node_agent.runtime import open_chain, open_operator

    settings = load_config(config)
    chain = open_chain(settings)
    provider = chain.fetch_provider(Address(open_operator(settings).address))
    found = commands.fetch_earnings(chain, provider)
    if job is not None:
        _explain(chain, provider, job, found, as_json)
        return
    total = sum(item.claimed_wei + item.unclaimed_wei for item in found)
    jobs = [asdict(item) for item in found]
    show({"provider": provider, "earned_wei": total, "jobs": jobs}, as_json)


def _explain(
    chain: Chain, provider: Address, job: int, found: list[JobEarnings], as_json: bool
) -> None:
    from node_agent.owner import explain_job

    rounds = [each.to_json() for each in explain_job(chain, job, found)]
    if as_json:
        show({"provider": provider, "job": job, "rounds": rounds}, as_json)
        return
    table = Table("round", "reason", "score", "seat", "paid (wei)", "why", box=None)
    for each in rounds:
        table.add_row(*_cells(each))
    Console(soft_wrap=True).print(table)


def _cells(pay: dict[str, Any]) -> list[str]:
    seat = (
        "" if pay["seat"] is None else f"{pay['seat']} ({(pay['seat_share_bps'] or 0) / 100:g} %)"
    )
    score = "" if pay["score"] is None else str(pay["score"])
    why = pay["why"] + (f" ({pay['failure']})" if pay["failure"] else "")
    return [str(pay["round"]), pay["reason"], score, seat, str(pay["paid_wei"]), why]
