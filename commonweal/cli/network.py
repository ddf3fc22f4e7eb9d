"""Deploying, keystores, funding, and the local network: `weal dev`, `weal demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commonweal.cli import options as opt
from commonweal.cli.output import EXIT_FAILED, print_json

keystore_app = typer.Typer(no_args_is_help=True, help="Encrypted key files.")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the network's files go; default: temporary."),
]


@keystore_app.callback()
def keystores() -> None:
    """Encrypted key files."""


@keystore_app.command("new")
def new_keystore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Never overwritten.")],
    password_file: opt.PasswordFile = None,
    json: opt.Json = False,
) -> None:
    """Create a key and store it encrypted; prints its address."""
    from commonweal.adapters.keystore import create_keystore

    address = create_keystore(path, opt.read_password_option(password_file, confirm=True))
    if json:
        print_json({"address": address, "path": str(path)})
    else:
        typer.echo(address)


def deploy(
    keystore: opt.Keystore,
    rpc: opt.Rpc,
    password_file: opt.PasswordFile = None,
    token: Annotated[
        str | None, typer.Option(help="A standard ERC-20 with permit; default: deploys one.")
    ] = None,
    treasury: Annotated[
        str | None, typer.Option(help="Receives slashed stake; default: the deployer.")
    ] = None,
    admin: Annotated[
        str | None, typer.Option(help="May publish new parameters; default: the deployer.")
    ] = None,
    admin_delay: Annotated[
        int, typer.Option(min=0, help="Seconds between announcing new parameters and their day.")
    ] = 172_800,
    guardian: Annotated[
        str | None, typer.Option(help="May pause the entry of newcomers; default: the admin.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Addresses file to write.")
    ] = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Deploy the contracts and write their addresses file."""
    from commonweal.adapters.deploying import deploy as deploy_contracts
    from commonweal.adapters.deploying import public_parameters
    from commonweal.protocol.types import Address

    account = opt.open_account(keystore, password_file)
    deployment = deploy_contracts(
        rpc,
        account,
        parameters=public_parameters(Address(treasury or account.address)),
        token=Address(token) if token else None,
        admin=Address(admin) if admin else None,
        admin_delay=admin_delay,
        guardian=Address(guardian) if guardian else None,
    )
    deployment.save(output)
    if json:
        print_json({"path": str(output), "contracts": dict(deployment.contracts)})
        return
    for name, address in deployment.contracts.items():
        typer.echo(f"{name:18} {address}")
    typer.echo(f"Written to {output}")


def fund(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who gets it.")],
    keystore: opt.Keystore,
    tokens: Annotated[int, typer.Option(min=0, help="Whole tokens, to stake or to pay.")] = 0,
    eth: Annotated[int, typer.Option(min=0, help="Whole ETH, for gas.")] = 0,
    password_file: opt.PasswordFile = None,
    rpc: opt.Rpc = opt.DEFAULT_RPC,
    deployment: opt.DeploymentFile = opt.DEFAULT_DEPLOYMENT,
    json: opt.Json = False,
) -> None:
    """Give an address tokens and gas money from your own account: for test networks."""
    from commonweal.funding import build_gift, give

    gift = build_gift(address, tokens=tokens, eth=eth)
    reader = opt.open_chain(rpc, deployment)
    sent = give(reader, opt.open_account(keystore, password_file), gift)
    if json:
        amounts = {"tokens_wei": gift.tokens_wei, "eth_wei": gift.eth_wei}
        print_json({"address": gift.to, **amounts, "transactions": sent})
        return
    given = [f"{tokens} tokens"] * bool(tokens) + [f"{eth} ETH"] * bool(eth)
    typer.echo(f"{gift.to} got {' and '.join(given)}.")


def dev(
    agents: Annotated[int, typer.Option(min=0, max=50, help="Node agents to start.")] = 5,
    data_dir: DataDir = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the data partition.")] = 0,
) -> None:
    """A local network that keeps running: chain, coordinator and agents. Ctrl-C ends it."""
    from rich.console import Console

    from commonweal.devnet.dev import run_dev

    run_dev(agents=agents, data_dir=data_dir, seed=seed, console=Console())


def stop(
    data_dir: Annotated[Path, typer.Option("--data-dir", help="The folder of `weal demo --keep`.")],
) -> None:
    """Stop a network that `weal demo --keep` left running."""
    from commonweal.devnet.leftovers import stop_network

    for name in stop_network(data_dir):
        typer.echo(f"stopped {name}")


def demo(
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Rounds to train.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of data, model and training.")] = 2,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the network running.")] = False,
    data_dir: DataDir = None,
    json: opt.Json = False,
) -> None:
    """Seven nodes, two of them cheats, train on a local chain; then everything is verified.

    Exit status 0 only if the model is good, every honest trainer earned, no cheat did, the money
    adds up to the wei, and the verification passed.
    """
    from rich.console import Console

    from commonweal.devnet.demo import run_demo

    # With --json, stdout is for the one object.
    console = Console(stderr=json)
    result = run_demo(rounds=rounds, seed=seed, keep=keep, data_dir=data_dir, console=console)
    if json:
        print_json(result.to_json())
    raise typer.Exit(0 if result.ok else EXIT_FAILED)
