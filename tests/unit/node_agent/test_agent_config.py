"""Configuration errors name the file, the line and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonweal.protocol.types import Role
from node_agent.config import load_config, save_config
from node_agent.errors import ConfigInvalid

GOOD = """\
rpc_url: http://127.0.0.1:8545
deployment: deployment.json
data_dir: node
coordinator: [http://127.0.0.1:8750]
roles: [trainer]
data:
  kind: digits
  part: {parts: 7, index: 2, alpha: 0.5, seed: 3}
jobs:
  allow: [1, 3]
  stake_per_job: 12.5
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(text)
    return path


def test_reads_a_good_file_with_paths_from_its_folder(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.deployment == tmp_path / "deployment.json"
    assert config.data_dir == tmp_path / "node"
    assert config.keys.operator == tmp_path / "operator.json"
    assert config.role_set == Role.TRAINER
    assert config.jobs.stake_per_job == 12_500_000_000_000_000_000
    assert config.jobs.allow == (1, 3)


def test_limit_of_stake(tmp_path: Path) -> None:
    policy = load_config(write(tmp_path, GOOD + "  max_stake_per_job: 12.5\n")).jobs
    assert policy.max_stake_per_job == policy.stake_per_job == 12_500_000_000_000_000_000


def test_what_is_saved_reads_the_same(tmp_path: Path) -> None:
    more = "  families: [mlp]\n  hours: [22, 6]\n  min_pay_per_round: 5000 wei\n"
    more += "  max_memory_mib: 512\ngpu: {share: 0.25}\n"
    config = load_config(write(tmp_path, GOOD + more))
    assert config.jobs.min_pay_per_round == 5000
    assert (config.jobs.max_memory_mib, config.gpu.share) == (512, 0.25)
    save_config(config, tmp_path / "again.yaml")
    assert load_config(tmp_path / "again.yaml") == config


WRONG = {
    "unknown field": ("roles: [trainer]", "rolls: [trainer]", 5, "rolls"),
    "unknown role": ("[trainer]", "[trainer, server]", 5, "roles.1"),
    "address": ("http://127.0.0.1:8545", "localhost", 1, "rpc_url"),
    "coordinator": ("[http://127.0.0.1:8750]", "[ftp://x]", 4, "coordinator.0"),
    "data kind": ("kind: digits", "kind: pickles", 6, "data"),
    "inside a union": ("parts: 7", "parts: seven", 8, "data.part.parts"),
    "amount": ("12.5", "much", 11, "jobs.stake_per_job"),
    "kubo": ("data_dir: node", "content: {kubo: 127.0.0.1}", 3, "content.kubo"),
    "kubo's limit": (
        "data_dir: node",
        "content: {kubo: 'http://127.0.0.1:5001', max_bytes: 9}",
        3,
        "content",
    ),
    "family": ("allow: [1, 3]", "families: [oracle]", 10, "jobs.families.0"),
    "no memory": ("allow: [1, 3]", "max_memory_mib: 0", 10, "jobs.max_memory_mib"),
    "more than all of the GPU": ("data_dir: node", "gpu: {share: 1.5}", 3, "gpu.share"),
    "no hours": ("allow: [1, 3]", "hours: [7, 7]", 9, "jobs"),
    "no hour": ("allow: [1, 3]", "hours: [7, 24]", 10, "jobs.hours.1"),
    "requester": ("allow: [1, 3]", "requesters: ['0x12']", 10, "jobs.requesters.0"),
    "stake above its limit": (
        "stake_per_job: 12.5",
        "stake_per_job: 12.5\n  max_stake_per_job: 12",
        9,
        "jobs",
    ),
    "job number": ("[1, 3]", "[0]", 10, "jobs.allow"),
}


@pytest.mark.parametrize("name", WRONG)
def test_names_line_and_field(tmp_path: Path, name: str) -> None:
    old, new, line, field = WRONG[name]
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigInvalid) as caught:
        load_config(path)
    details = caught.value.details
    assert (details["line"], details["field"]) == (line, field)
    assert caught.value.message.startswith(f"{path}:{line}:")


def test_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_config(write(tmp_path, GOOD.replace("rpc_url: http://127.0.0.1:8545\n", "")))
    assert caught.value.details["field"] == "rpc_url"


@pytest.mark.parametrize(("text", "line"), [("a: [1,\nb: 2", 2), ("- a list", 1), ("", 1)])
def test_names_the_line_of_what_is_not_a_map(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_config(write(tmp_path, text))
    assert caught.value.details["line"] == line


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("2020-13-45", "'2020-13-45' is no timestamp"),
        ("!!timestamp today", "'today' is no timestamp"),
        ("!!int ''", "'' is no int"),
        ("!!bool maybe", "'maybe' is no bool"),
        ('[a, "b\x01"]', "character 0x0001"),
    ],
)
def test_names_the_line_of_a_value_that_yaml_cannot_read(
    tmp_path: Path, value: str, problem: str
) -> None:
    path = write(tmp_path, GOOD.replace("deployment.json", value))
    with pytest.raises(ConfigInvalid, match=problem) as caught:
        load_config(path)
    assert caught.value.message.startswith(f"{path}:2:")
    assert caught.value.details["line"] == 2


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_says_that_a_file_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "node.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        load_config(path)
