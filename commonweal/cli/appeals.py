"""`weal appeal`: slashes and models before a jury."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from commonweal.cli import options as opt
from commonweal.cli.narration import format_date
from commonweal.cli.output import format_tokens, print_fields, print_json

if TYPE_CHECKING:
    from commonweal.appealing import Appellant
    from commonweal.protocol.appeals import Case

app = typer.Typer(
    name="appeal",
    help="Challenge a slash or a finalised model: a larger jury decides, and the loser pays.",
    no_args_is_help=True,
)
Number = Annotated[int, typer.Argument(metavar="APPEAL", min=1, help="The appeal's number.")]


@app.command("model")
def appeal_model(
    job: opt.JobNumber,
    round_: Annotated[int, typer.Argument(metavar="ROUND", min=1, help="Whose model is wrong.")],
    keystore: opt.Keystore,
    password_file: opt.PasswordFile = None,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Challenge the model of a finalised round. The bond is what the job asks as stake.

    If the jury finds the model wrong its attesters are slashed, the job stops, and the requester is
    paid back; `weal verify` tells beforehand.
    """
    appellant = _open(keystore, password_file, rpc, deployment)
    _show(appellant, appellant.appeal_model(job, round_), json)


@app.command("slash")
def appeal_slash(
    slash: Annotated[int, typer.Argument(metavar="SLASH", min=1, help="The slash's number.")],
    keystore: opt.Keystore,
    password_file: opt.PasswordFile = None,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Challenge a slash before it is settled."""
    appellant = _open(keystore, password_file, rpc, deployment)
    _show(appellant, appellant.appeal_slash(slash), json)


@app.command("again")
def appeal_again(
    appeal: Number,
    keystore: opt.Keystore,
    password_file: opt.PasswordFile = None,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Challenge the first jury's decision, for twice the bond. The second one is final."""
    appellant = _open(keystore, password_file, rpc, deployment)
    appellant.appeal_again(appeal)
    _show(appellant, appeal, json)


@app.command("advance")
def advance(
    appeal: Number,
    keystore: opt.Keystore,
    password_file: opt.PasswordFile = None,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Do what is due: draw the jury, end a stage, close the case. Anybody may; nodes do it too."""
    appellant = _open(keystore, password_file, rpc, deployment)
    appellant.move_on(appeal)
    _show(appellant, appeal, json)


@app.command("take")
def take(
    keystore: opt.Keystore,
    password_file: opt.PasswordFile = None,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Collect what closed appeals owe this account: bonds returned, and halves of lost ones."""
    from commonweal.protocol.types import Address

    appellant = _open(keystore, password_file, rpc, deployment)
    address = Address(appellant.account.address)
    taken = appellant.take_owed(address)
    if json:
        print_json({"address": address, "taken_wei": taken})
    else:
        typer.echo(f"{address} got {format_tokens(taken)} tokens.")


@app.command("show")
def show(
    appeal: Number,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Where an appeal stands."""
    from commonweal.appealing import fetch_case

    _print(appeal, fetch_case(opt.open_chain(rpc, deployment), appeal), json)


def _open(keystore: Any, password_file: Any, rpc: str, deployment: Any) -> Appellant:
    from commonweal.appealing import Appellant

    reader = opt.open_chain(rpc, deployment)
    return Appellant(reader, opt.open_account(keystore, password_file))


def _show(appellant: Appellant, appeal: int, json: bool) -> None:
    from commonweal.appealing import fetch_case

    _print(appeal, fetch_case(appellant.reader, appeal), json)


def _print(appeal: int, case: Case, json: bool) -> None:
    if json:
        print_json(to_json(appeal, case))
    else:
        print_fields(describe_case(appeal, case))


def to_json(appeal: int, case: Case) -> dict[str, Any]:
    return {
        "appeal": appeal,
        "job": case.job,
        "round": case.round,
        "slash": case.slash or None,
        "stage": case.stage.name.lower(),
        "level": case.level,
        "overturned": case.overturned,
        "ends_at": case.ends_at,
        "seed_block": case.seed_block,
        "bond_wei": case.bond * case.level,
        "appellant": case.first if case.level == 1 else case.second,
        "votes_committed": case.committed.bit_count(),
        "votes_revealed": case.revealed.bit_count(),
        "votes_to_overturn": case.overturning.bit_count(),
    }


def describe_case(appeal: int, case: Case) -> dict[str, str]:
    about = f"the model of round {case.round}" if not case.slash else f"slash {case.slash}"
    found = "overturned" if case.overturned else "upheld"
    is_found = case.stage.name in ("DECIDED", "CLOSED") or case.level == 2
    votes = f"{case.committed.bit_count()} sealed, {case.revealed.bit_count()} open, "
    ends = "" if case.stage.name == "CLOSED" else f" until {format_date(case.ends_at)}"
    return {
        "appeal": str(appeal),
        "about": f"{about}, job {case.job}",
        "stage": f"{case.stage.name.lower()}{ends}",
        "instance": str(case.level),
        "stands": found if is_found else "not decided",
        "bond": f"{format_tokens(case.bond * case.level)} tokens",
        "votes": f"{votes}{case.overturning.bit_count()} to overturn",
    }
