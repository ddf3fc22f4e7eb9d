"""`weal verify JOB`: the report on a job's chain of evidence."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commonweal.cli import options as opt
from commonweal.cli.output import EXIT_FAILED, print_json

if TYPE_CHECKING:
    from commonweal.verification import Report


def verify(
    job: opt.JobNumber,
    source: Annotated[
        list[str] | None,
        typer.Option(help="Gateways to read content from, before the providers' announced ones."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="A content store on this machine, read first and kept.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Read content from --store and --source only.")
    ] = False,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Recheck a job from chain and content alone, and name the first link that breaks.

    Every commitment against its reveal, the draw, every ballot, verdict, payment and hash; every
    round's model recomputed to the bit. Asks no coordinator and believes none.
    """
    from commonweal.verification.collect import fetch_sources, require_job, verify_job

    reader = opt.open_chain(rpc, deployment)
    require_job(reader, job)
    sources = [*(source or []), *([] if offline else fetch_sources(reader, job))]
    with tempfile.TemporaryDirectory() as scratch:
        report = verify_job(reader, job, store or Path(scratch), sources)
    if json:
        print_json(report.to_json())
    else:
        print_report(report)
    if not report.ok:
        raise typer.Exit(EXIT_FAILED)


def print_report(report: Report) -> None:
    broken: dict[str, int] = {}
    for check in report.broken():
        broken[check.name] = broken.get(check.name, 0) + 1
    for name, count in report.counts().items():
        mark = f"{broken[name]} of {count} BROKEN" if name in broken else f"{count} ok"
        typer.echo(f"  {name:20} {mark}")
    for note in report.left_out:
        typer.echo(f"  left out: {note}")
    first = report.first_broken
    typer.echo(f"Job {report.job}, as of block {report.block}: {len(report.checks)} checks made.")
    typer.echo("Verified." if first is None else f"NOT verified. First broken link: {first}")
