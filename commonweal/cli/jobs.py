"""`weal job …`: what a requester does with jobs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from commonweal.cli import newjob
from commonweal.cli import options as opt
from commonweal.cli.narration import FAILURES, Narrator, format_date, format_time
from commonweal.cli.output import (
    format_bytes,
    format_duration,
    format_tokens,
    print_fields,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from commonweal import answers
    from commonweal.client import Client
    from commonweal.estimating import Estimate
    from commonweal.jobfile import Terms
    from commonweal.prospects import Prospects

app = typer.Typer(no_args_is_help=True, help="Write, submit, follow and cancel jobs.")
app.command()(newjob.new)
app.command()(newjob.schema)

OVER = {"completed", "cancelled", "exhausted"}
JobFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The job file (YAML).")]


@app.command()
def submit(
    file: JobFileArgument,
    keystore: opt.Keystore,
    password_file: opt.PasswordFile = None,
    url: opt.Url = opt.DEFAULT_URL,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the job.")] = 60.0,
) -> None:
    """Sign a job's offer and its escrow, hand both to the coordinator; prints the job's number.

    No gas is needed: the coordinator sends the transaction, the signatures fix all it contains.
    """
    from commonweal.client import Client
    from commonweal.jobfile import load_job_file

    job_file = load_job_file(file)
    reader = opt.open_chain(rpc, deployment)
    account = opt.open_account(keystore, password_file)
    with Client(url) as client, tempfile.TemporaryDirectory() as scratch:
        job = client.submit(
            job_file, reader=reader, account=account, scratch=Path(scratch), timeout=timeout
        )
    if json:
        print_json({"job": job, "requester": account.address, "escrow_wei": job_file.escrow})
    else:
        typer.echo(f"Job {job} is on chain. Follow it: weal job watch {job}")


@app.command()
def estimate(
    file: JobFileArgument,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="WEAL_URL",
            help="Ask this coordinator, too: who could join, how long rounds take.",
        ),
    ] = None,
    json: opt.Json = False,
) -> None:
    """What a job will move, cost and take, before anything is signed. Without --url from the file
    alone."""
    from commonweal.client import Client
    from commonweal.estimating import compute_estimate
    from commonweal.jobfile import load_job_file
    from commonweal.prospects import find_prospects

    job_file, prospects = load_job_file(file), None
    found = compute_estimate(job_file)
    if url is not None:
        with Client(url) as client:
            prospects = find_prospects(client, job_file.terms)
    if json:
        print_json(asdict(found) | {"prospects": None if prospects is None else asdict(prospects)})
        return
    outlook = {} if prospects is None else describe_prospects(prospects, job_file.terms)
    print_fields(describe_estimate(found) | outlook)


@app.command("list")
def list_jobs(
    url: opt.Url = opt.DEFAULT_URL,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    json: opt.Json = False,
) -> None:
    """The jobs that the coordinator knows."""
    from commonweal.client import Client

    with Client(url) as client:
        answer = client.jobs(state)
    if json:
        print_json(answer.model_dump(mode="json"))
        return
    columns = ["job", "state", "rounds", "failed", "members", "escrow left (tokens)"]
    print_table(columns, [_list_cells(each) for each in answer.items])


@app.command()
def show(job: opt.JobNumber, url: opt.Url = opt.DEFAULT_URL, json: opt.Json = False) -> None:
    """One job: its terms, state and rounds."""
    from commonweal.client import Client

    with Client(url) as client:
        answer, rounds = client.job(job), client.rounds(job)
    if json:
        print_json(answer.model_dump(mode="json") | {"rounds": rounds.model_dump(mode="json")})
        return
    print_fields(describe_job(answer))
    typer.echo()
    columns = ["round", "state", "paid (tokens)", "model"]
    print_table(columns, [_round_cells(each) for each in rounds.items])


@app.command()
def watch(
    job: opt.JobNumber,
    url: opt.Url = opt.DEFAULT_URL,
    json: Annotated[
        bool, typer.Option("--json", help="Every event whole, a JSON object per line.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Lines only, on a terminal too.")] = False,
) -> None:
    """Follow a job's events until it is over (or Ctrl-C).

    A terminal shows the job's curves live below them; elsewhere each event is a line.
    """
    from commonweal.client import Client

    console = Console()
    with Client(url) as client:
        if plain or json or not console.is_terminal or console.is_dumb_terminal:
            _watch_lines(client, job, json)
        else:
            _watch_live(client, job, console)


def _watch_lines(client: Client, job: int, json: bool) -> None:
    import json as json_

    narrator = Narrator()
    for event in map(asdict, client.watch(job)):
        line = json_.dumps(event) if json else narrator.describe(event)
        if line is not None:
            typer.echo(line)
        if _is_last(event):
            return


def _watch_live(client: Client, job: int, console: Console) -> None:
    from commonweal.cli.watching import Curves, LiveWatch

    def fetch_curves() -> Curves:
        curves: Curves = {}
        for item in client.claims(job).items:
            for name, claim in item.metrics.items():
                curves.setdefault(name, {})[item.round] = claim.median
        return curves

    with LiveWatch(job, console, fetch_curves) as watch:
        for event in map(asdict, client.watch(job)):
            watch.take(event, is_last=_is_last(event))
            if _is_last(event):
                return


def _is_last(event: dict[str, Any]) -> bool:
    return event["data"].get("state") in OVER


@app.command()
def cancel(
    job: opt.JobNumber,
    keystore: opt.Keystore,
    password_file: opt.PasswordFile = None,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """End a job after the round in flight, by a transaction of your own (it needs gas)."""
    from commonweal.client import cancel_job
    from commonweal.verification.collect import require_job

    reader = opt.open_chain(rpc, deployment)
    require_job(reader, job)
    receipt = cancel_job(reader, opt.open_account(keystore, password_file), job)
    if json:
        print_json({"job": job, "transaction": receipt})
    else:
        typer.echo(f"Job {job} ends after its present round (transaction {receipt}).")


def _list_cells(job: answers.Job) -> list[str]:
    rounds = f"{job.finalised_rounds} of {job.parameters['rounds']}"
    counts = [str(job.failed_rounds), str(job.members)]
    return [str(job.job), job.state, rounds, *counts, format_tokens(job.escrow)]


def _round_cells(round_: answers.Round) -> list[str]:
    state: str = round_.state
    if state == "open":
        state = f"open: {round_.phase} until {format_time(round_.ends_at)}"
    elif state == "failed":
        state = f"failed: {FAILURES.get(round_.failure or '', round_.failure)}"
    model = round_.model or ""
    return [str(round_.round), state, format_tokens(round_.spent), model]


def describe_estimate(found: Estimate) -> dict[str, str]:
    pools = found.pools_per_round
    fewest, most = found.trainers
    shares = (
        f"{format_tokens(pools.trainers)} to trainers, {format_tokens(pools.validators)} to "
        f"validators, {format_tokens(pools.fee)} to the coordinator"
    )
    samples = "" if found.validation is None else f"{found.validation}, once to each member"
    if found.validation_bytes is not None:
        samples = f"{format_bytes(found.validation_bytes)}, {samples}"
    return {
        "model": f"{found.parameters:,} parameters, {format_bytes(found.float32_update_bytes)}",
        "encoding": found.encoding,
        "update": f"at most {found.update_bytes:,} bytes, "
        f"{found.times_smaller:g} times smaller than float32",
        **({"validation set": samples} if samples else {}),
        "trainers": f"{fewest} to {most}; below, what both come to",
        "sent per round": _format_range(found.traffic_per_round.uploaded, format_bytes),
        "fetched per round": _format_range(found.traffic_per_round.fetched, format_bytes),
        "sent in all": _format_range(found.traffic_per_job.uploaded, format_bytes),
        "fetched in all": _format_range(found.traffic_per_job.fetched, format_bytes),
        "escrow": f"{format_tokens(found.escrow)} tokens",
        "paid per round": f"at most {shares}",
        "gas per round": f"{_format_range(found.gas.relayed_per_round, _format_count)}, relayed",
        "gas in all": f"{_format_range(found.gas.relayed_per_job, _format_count)}, relayed",
        "gas if direct": f"{found.gas.direct_per_trainer_and_round:,} per trainer and round",
        "a round takes": f"at most {format_duration(found.longest.round)}; "
        "a phase ends as soon as all are in",
        "the job takes": f"at most {format_duration(found.longest.job)}, "
        "recruiting and failed rounds included",
    }


def describe_prospects(found: Prospects, terms: Terms) -> dict[str, str]:
    wanted = f"{terms.min_trainers} trainers and {terms.committee_size} seats are needed"
    fields = {
        "could join": f"{found.trainers} trainers and {found.validators} validators; {wanted}"
    }
    if found.usual_round is not None and found.usual_job is not None:
        usual, job = format_duration(found.usual_round), format_duration(found.usual_job)
        fields["as a rule"] = f"{usual} a round, {job} the job, by the latest rounds here"
    return fields


def _format_count(count: int) -> str:
    return f"{count:,}"


def _format_range(pair: tuple[int, int], form: Callable[[int], str]) -> str:
    return " to ".join(dict.fromkeys(map(form, pair)))


def describe_job(job: answers.Job) -> dict[str, str]:
    terms = job.parameters
    done, failed = job.finalised_rounds, job.failed_rounds
    windows = ("commit", "reveal", "ballot_commit", "ballot_reveal", "attest")
    shares = f"{terms['validator_share_bps'] / 100:g} % of it to validators, "
    shares += f"{terms['coordinator_share_bps'] / 100:g} % to the coordinator"
    escrow, deposit = format_tokens(job.escrow), format_tokens(job.deposit)
    is_open = int(terms["allowlist_root"], 16) == 0
    return {
        "job": str(job.job),
        "state": job.state,
        "requester": job.requester,
        "rounds": f"{done} of {terms['rounds']} done, {failed} failed "
        f"(at most {terms['max_failed_rounds']})",
        "members": f"{job.members}, open to {'all' if is_open else 'an allowlist'}",
        "trainers": f"{terms['min_trainers']} to {terms['max_trainers']}",
        "committee": f"{terms['committee_size']} validators",
        "stake": f"at least {format_tokens(terms['min_stake'])} tokens",
        "price": f"{format_tokens(terms['price_per_round'])} tokens per round; {shares}",
        "escrow": f"{escrow} of {deposit} tokens left, {format_tokens(job.refunded)} refunded",
        "windows": ", ".join(f"{w.replace('_', ' ')} {terms[w + '_window']} s" for w in windows),
        "recruiting until": format_date(terms["recruit_until"]),
        "created": format_date(job.created_at),
        "specification": job.spec,
        "initial model": job.initial_model,
    }
