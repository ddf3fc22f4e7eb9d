"""`weal job …`: what a requester does with jobs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from commonweal.cli import options as opt
from commonweal.cli.output import print_fields, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Submit, follow and cancel jobs.")

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
        print_json(answer)
        return
    columns = ["job", "state", "finalised_rounds", "failed_rounds", "members", "escrow"]
    rows = [[each.get(column) for column in columns] for each in _items(answer)]
    print_table("Jobs", columns, rows)


@app.command()
def show(job: opt.JobNumber, url: opt.Url = opt.DEFAULT_URL, json: opt.Json = False) -> None:
    """One job: its terms, state and rounds."""
    from commonweal.client import Client

    with Client(url) as client:
        answer, rounds = client.job(job), client.rounds(job)
    if json:
        print_json({**answer, "rounds": rounds})
        return
    print_fields(answer)
    columns = ["round", "state", "phase", "model", "spent"]
    rows = [[each.get(column) for column in columns] for each in _items(rounds)]
    print_table("Rounds", columns, rows)


@app.command()
def watch(
    job: opt.JobNumber,
    url: opt.Url = opt.DEFAULT_URL,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Follow a job's events until it is over (or Ctrl-C)."""
    import json as json_

    from commonweal.client import Client

    with Client(url) as client:
        for event in client.watch(job):
            line = json_.dumps(event) if json else _describe(event)
            typer.echo(line)
            if _is_end(event):
                return


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

    reader = opt.open_chain(rpc, deployment)
    receipt = cancel_job(reader, opt.open_account(keystore, password_file), job)
    if json:
        print_json({"job": job, "transaction": receipt})
    else:
        typer.echo(f"Job {job} ends after its present round (transaction {receipt}).")


def _items(answer: Any) -> list[dict[str, Any]]:
    """Collections come bare or as {"items": […]}."""
    return list(answer["items"] if isinstance(answer, dict) else answer)


def _describe(event: dict[str, Any]) -> str:
    data = event["data"]
    fields = " ".join(f"{name}={value}" for name, value in data.items() if _is_short(value))
    return f"{event.get('event', 'message'):24} {fields}"


def _is_short(value: object) -> bool:
    return not isinstance(value, dict | list) and len(str(value)) <= 66


def _is_end(event: dict[str, Any]) -> bool:
    ends = {"completed", "cancelled", "exhausted"}
    return str(event["data"].get("state", "")).lower() in ends
