"""`weal verify JOB`: the report on a job's chain of evidence."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commonweal.cli import options as opt
from commonweal.cli.narration import format_date
from commonweal.cli.output import EXIT_FAILED, print_json

if TYPE_CHECKING:
    from commonweal.adapters.content.store import ContentStore
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
    store_kubo: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Instead of --store: a Kubo daemon's RPC, http://…"),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Read content from the store and --source only.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the report as a page of its own too."),
    ] = None,
    max_model_bytes: opt.MaxModelBytes = opt.DEFAULT_MAX_MODEL_BYTES,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Recheck a job from chain and content alone, and name the first link that breaks.

    Every commitment against its reveal, the draw, every ballot, verdict, payment and hash; every
    round's model recomputed to the bit. Asks no coordinator and believes none.

    Trusted is the RPC endpoint: its event logs and its storage are taken for the chain's. Use one
    of your own, or compare two. Whatever is not checked is listed as left out, among it updates
    that were judged invalid or unavailable: they are not fetched.
    """
    from commonweal.adapters.rpc import name_endpoint
    from commonweal.verification.collect import fetch_sources, require_job, verify_job

    reader = opt.open_chain(rpc, deployment)
    require_job(reader, job)
    sources = [*(source or []), *([] if offline else fetch_sources(reader, job))]
    with tempfile.TemporaryDirectory() as scratch:
        content = open_store(store or Path(scratch), store_kubo)
        report = verify_job(reader, job, content, sources, max_model_bytes=max_model_bytes)
    trusted = f"the event logs and the storage that {name_endpoint(rpc)} shows"
    if html is not None:
        write_page(html, report, trusted)
    if json:
        print_json(report.to_json() | {"trusted": trusted})
    else:
        print_report(report, trusted)
    if not report.ok:
        raise typer.Exit(EXIT_FAILED)


def open_store(folder: Path, kubo: str | None) -> ContentStore:
    from commonweal.adapters.content.embedded import EmbeddedStore
    from commonweal.adapters.content.kubo import KuboStore

    return EmbeddedStore(folder) if kubo is None else KuboStore(kubo)


def write_page(path: Path, report: Report, trusted: str) -> None:
    from commonweal.verification.page import render_page

    made_at = format_date(int(time.time()))
    path.write_text(render_page(report, trusted, made_at), encoding="utf-8")


def print_report(report: Report, trusted: str) -> None:
    broken: dict[str, int] = {}
    for check in report.broken():
        broken[check.name] = broken.get(check.name, 0) + 1
    for name, count in report.counts().items():
        mark = f"{broken[name]} of {count} BROKEN" if name in broken else f"{count} ok"
        typer.echo(f"  {name:20} {mark}")
    for note in report.left_out:
        typer.echo(f"  left out: {note}")
    typer.echo(f"  trusted: {trusted}")
    first = report.first_broken
    typer.echo(f"Job {report.job}, as of block {report.block}: {len(report.checks)} checks made.")
    typer.echo("Verified." if first is None else f"NOT verified. First broken link: {first}")
