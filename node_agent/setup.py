"""Making a node's folder: keys, password files, configuration."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from commonweal.adapters.keystore import create_keystore, load_account, read_password
from node_agent.config import Keys, NodeConfig, save_config
from node_agent.errors import ConfigExists, ConfigInvalid

_IMAGES, _LABELS = "images-idx3", "labels-idx1"  # in the names that IDX pairs go by


@dataclass(frozen=True, slots=True)
class NodeSetup:
    rpc_url: str
    deployment: Path
    data: str
    label: str
    coordinators: tuple[str, ...]
    roles: tuple[str, ...]
    owner: Path | None
    owner_password_file: Path | None
    light: bool


def create_node(data_dir: Path, setup: NodeSetup) -> dict[str, Any]:
    """Never overwrites anything; a wrong password of the owner's key leaves nothing behind.

    Raises ConfigExists, ConfigInvalid, KeystoreExists, PasswordWrong.
    """
    path = data_dir / "node.yaml"
    if path.exists():
        raise ConfigExists(f"{path} exists and is left as it is", path=str(path))
    config, owner = _build_config(setup), None
    if setup.owner is not None:
        owner = _find_owner(setup.owner, setup.owner_password_file, setup.light)
        config = config.model_copy(update={"provider": owner})
    data_dir.mkdir(parents=True, exist_ok=True)
    operator = _create_operator(data_dir, setup.light)
    save_config(config, path)
    result = {"config": str(path), "operator": operator}
    return result if owner is None else result | {"owner": owner}


def list_next_steps(result: dict[str, Any]) -> list[str]:
    """From a folder that `create_node` made to a node that works."""
    config, operator = result["config"], result["operator"]
    run = f"weal-node run --config {config}"
    if "owner" not in result:
        return [
            "Set keys.owner in the configuration to the key file that will hold the stake, or",
            f"register elsewhere with that key, naming the operator {operator}.",
            f"Then: {run}",
        ]
    owner = result["owner"]
    return [
        f"1. Give the owner {owner} tokens to stake and coin for gas,",
        f"   and the operator {operator} coin for gas. On a test network:",
        f"   weal fund {owner} --tokens 1000 --eth 1",
        f"   weal fund {operator} --eth 1",
        f"2. weal-node register --config {config} --stake 500",
        f"3. weal-node bench --config {config}",
        f"4. {run}",
    ]


def _build_config(setup: NodeSetup) -> NodeConfig:
    owner = setup.owner.resolve() if setup.owner else None
    password = setup.owner_password_file.resolve() if setup.owner_password_file else None
    document = {
        "rpc_url": setup.rpc_url,
        "deployment": setup.deployment.resolve(),
        "coordinator": setup.coordinators,
        "roles": setup.roles,
        "keys": Keys(owner=owner, owner_password=password),
        "data": describe_data(setup.data, setup.label),
    }
    try:
        return NodeConfig.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        raise ConfigInvalid(f"{field}: {first['msg']}", field=field) from error


def describe_data(data: str, label: str) -> dict[str, Any]:
    if data == "digits":
        return {"kind": "digits"}
    path = Path(data).resolve()
    if path.is_dir():
        return {"kind": "images", "path": path, "size": (28, 28)}
    if _IMAGES in path.name:
        labels = path.with_name(path.name.replace(_IMAGES, _LABELS))
        return {"kind": "idx", "images": path, "labels": labels}
    kind = path.suffix.removeprefix(".")
    if kind not in ("npz", "csv", "parquet"):
        message = f"{data!r} is not digits, a .npz, .csv, .parquet or IDX file, or a folder"
        raise ConfigInvalid(message, field="data")
    described = {"kind": kind, "path": path}
    return described if kind == "npz" else described | {"label": label}


def _create_operator(data_dir: Path, light: bool) -> str:
    keys = Keys()
    password = secrets.token_urlsafe(32)
    address = create_keystore(data_dir / keys.operator, password, light)
    _write_secret(data_dir / keys.operator_password, password)
    return address


def _find_owner(keystore: Path, password_file: Path | None, light: bool) -> str:
    if password_file is not None:
        password = read_password(password_file)
    else:
        new = not keystore.exists()
        prompt = f"{'New password' if new else 'Password'} of {keystore}"
        password = typer.prompt(prompt, hide_input=True, confirmation_prompt=new, err=True)
    if keystore.exists():
        return str(load_account(keystore, password).address)
    return create_keystore(keystore, password, light)


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
