"""`weal model …`: getting what was trained."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from commonweal.cli import options as opt
from commonweal.cli.output import print_json

app = typer.Typer(no_args_is_help=True, help="Get a job's models.")


@app.callback()
def models() -> None:
    """Get a job's models."""


@app.command()
def get(
    job: opt.JobNumber,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.")
    ] = None,
    round_: Annotated[int | None, typer.Option("--round", help="Default: the latest.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Gateways to read from, before the announced ones.")
    ] = None,
    max_model_bytes: opt.MaxModelBytes = opt.DEFAULT_MAX_MODEL_BYTES,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Write a model's weights (safetensors), whose hash the chain recorded.

    Read from the providers' announced addresses and checked; the coordinator is not needed.
    """
    from commonweal.adapters.content.embedded import EmbeddedStore
    from commonweal.adapters.content.fetching import ContentFetcher
    from commonweal.client import fetch_job_model
    from commonweal.verification.collect import fetch_sources, require_job

    reader = opt.open_chain(rpc, deployment)
    require_job(reader, job)
    sources = [*(source or []), *fetch_sources(reader, job)]
    with tempfile.TemporaryDirectory() as scratch:
        fetcher = ContentFetcher(EmbeddedStore(Path(scratch)), lambda: sources)
        model = fetch_job_model(reader, fetcher, job, round_, max_model_bytes=max_model_bytes)
    path = output or Path(f"job-{job}-round-{model.round}.safetensors")
    path.write_bytes(model.weights)
    if json:
        print_json({"job": job, "round": model.round, "cid": model.cid, "path": str(path)})
    else:
        typer.echo(f"{path}: model of job {job}, round {model.round} ({model.cid})")
