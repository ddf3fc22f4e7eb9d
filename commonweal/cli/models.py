"""`weal model …`: getting what was trained."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commonweal.cli import options as opt
from commonweal.cli.output import print_json

if TYPE_CHECKING:
    from commonweal.adapters.chain import ChainReader
    from commonweal.adapters.content.fetching import ContentFetcher
    from commonweal.client import TrainedModel

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
    card: Annotated[
        bool, typer.Option("--card/--no-card", help="Write a model card (Markdown) beside it.")
    ] = True,
    max_model_bytes: opt.MaxModelBytes = opt.DEFAULT_MAX_MODEL_BYTES,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Write a model's weights (safetensors), whose hash the chain recorded, and its card.

    Read from the providers' announced addresses and checked; the coordinator is not needed.
    The card tells lineage, contributors, verdicts, what trainers claim, and how to verify.
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
        text = _make_card(reader, fetcher, job, model) if card else None
    path = output or Path(f"job-{job}-round-{model.round}.safetensors")
    path.write_bytes(model.weights)
    written = {"path": str(path)}
    if text is not None:
        written["card"] = str(path.with_suffix(".md"))
        path.with_suffix(".md").write_text(text, encoding="utf-8")
    if json:
        print_json({"job": job, "round": model.round, "cid": model.cid, **written})
        return
    typer.echo(f"{path}: model of job {job}, round {model.round} ({model.cid})")
    if text is not None:
        typer.echo(f"{written['card']}: its card")


def _make_card(reader: ChainReader, fetcher: ContentFetcher, job: int, model: TrainedModel) -> str:
    from commonweal.protocol.specs import JobSpec
    from commonweal.verification.cards import gather_facts, render_card

    head, deployment = reader.fetch_head().number, reader.deployment
    state = reader.fetch_job(job, head)
    spec = fetcher.fetch_manifest(state.parameters.spec_digest)
    assert isinstance(spec, JobSpec)  # or its model had not been fetched
    facts = gather_facts(
        reader.fetch_events(deployment.deployed_block, head, job),
        fetcher.fetch_manifest,
        job=state,
        spec=spec,
        round_=model.round,
        weights=model.weights,
        chain_id=deployment.chain_id,
        contracts=deployment.contracts,
        block=head,
        is_overturned=reader.is_overturned(job, model.round, head),
    )
    return render_card(facts)
