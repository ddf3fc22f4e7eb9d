"""The commands of `weal-node` that prepare a node: init, bench."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node_agent.cli_options import DEFAULT_CONFIG, ConfigFile, Json, show
from node_agent.config import NodeConfig, load_config

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from node_agent.benchmark import Measure


def init(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for keys, content and journal.")
    ] = None,
    rpc_url: Annotated[str | None, typer.Option(help="JSON-RPC address of the chain.")] = None,
    deployment: Annotated[
        Path | None, typer.Option(help="Addresses file of the contracts.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Training data: digits, a .npz, .csv, .parquet or …images-idx3… file, "
            "or a folder with a folder of pictures per class."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Label column of a .csv or .parquet file.")
    ] = None,
    coordinator: Annotated[
        list[str] | None, typer.Option(help="A coordinator's address; may be given again.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="trainer or validator; both if not given.")
    ] = None,
    owner: Annotated[
        Path | None, typer.Option(help="Owner's key file; made if it does not exist.")
    ] = None,
    owner_password_file: Annotated[
        Path | None, typer.Option(help="Its password's file; asked for if not given.")
    ] = None,
    light: Annotated[
        bool, typer.Option("--light", help="Quick key derivation: only for test networks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a node's folder: operator key (encrypted), its password file, node.yaml.

    Where folder, chain or addresses file are not given it asks, on a terminal, for all that is
    missing; then it says what the owner must do.
    """
    from node_agent.interview import Answers, complete
    from node_agent.setup import NodeSetup, create_node, list_next_steps

    given = Answers(data_dir, rpc_url, deployment, data, label, coordinator, role, owner)
    answers = complete(given, may_ask=sys.stdin.isatty() and not as_json)
    setup = NodeSetup(
        rpc_url=answers.rpc_url,
        deployment=answers.deployment,
        data=answers.data,
        label=answers.label,
        coordinators=answers.coordinators,
        roles=answers.roles,
        owner=answers.owner,
        owner_password_file=owner_password_file,
        light=light,
    )
    result = create_node(answers.data_dir, setup)
    show(result, as_json)
    if not as_json:
        typer.echo("\n".join(["", "Next:", *list_next_steps(result)]))


def bench(
    config: ConfigFile = DEFAULT_CONFIG,
    publish: Annotated[
        bool,
        typer.Option(
            "--publish/--no-publish",
            help="Name the result on chain, by a transaction of the operator's (it needs gas).",
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Measure this machine – training, disk, GPU, bandwidth – and publish its capabilities.

    Some seconds of work. The figures go into a manifest in the content store, whose CID the chain
    shows beside the provider; what the configuration declares is marked as declared.
    """
    from commonweal.extras import require_extra
    from commonweal.protocol.types import Address
    from node_agent import owner as commands
    from node_agent.benchmark import make_manifest
    from node_agent.runtime import limit_gpu, open_chain, open_operator

    require_extra("torch")
    settings = load_config(config)
    limit_gpu(settings.gpu.share)
    operator = open_operator(settings)
    manifest = make_manifest(_measure(settings, operator, as_json), settings.declared)
    if as_json and not publish:
        show(manifest.model_dump(mode="json"), as_json)
    if not publish:
        return
    chain = open_chain(settings)
    provider = chain.fetch_provider(Address(operator.address))
    cid, receipt = commands.publish_capabilities(chain, operator, provider, manifest)
    found = manifest.model_dump(mode="json") if as_json else {}
    show(found | {"capabilities": cid, "transaction": "0x" + receipt.tx_hash.hex()}, as_json)


def _measure(settings: NodeConfig, operator: LocalAccount, quiet: bool) -> list[Measure]:
    """Each figure is shown as it is found."""
    from commonweal.adapters.deployment import load_deployment
    from commonweal.adapters.http import open_client
    from commonweal.adapters.sign_in import SignIn
    from node_agent.benchmark import measure_machine

    measures, domain = [], load_deployment(settings.deployment).rounds_domain
    coordinator = settings.coordinator[0] if settings.coordinator else None
    with open_client() as client:
        sign_in = SignIn(operator, domain, client)
        for each in measure_machine(settings.data_dir, coordinator, sign_in):
            measures.append(each)
            if not quiet:
                value = f"none: {each.reason}" if each.value is None else f"{each.value}"
                typer.echo(f"{each.name.replace('_', ' ')}: {value}")
    return measures
