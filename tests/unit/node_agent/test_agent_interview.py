"""`weal-node init` asks a person on a terminal, and nobody else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pexpect
import pytest
from agent_samples import DEPLOYMENT
from typer import BadParameter

from commonweal.adapters.keystore import load_account
from node_agent import interview
from node_agent.config import load_config
from node_agent.errors import SetupIncomplete
from node_agent.interview import Answers, complete

NOTHING = Answers(None, None, None, None, None, None, None, None)
PATIENCE = 60


def init(folder: Path, *arguments: str) -> pexpect.spawn:
    command = ["-m", "node_agent", "init", "--light", *arguments]
    child = pexpect.spawn(
        sys.executable, command, cwd=str(folder), timeout=PATIENCE, encoding="utf-8"
    )
    child.setecho(False)
    return child


def answer(child: pexpect.spawn, question: str, text: str) -> None:
    child.expect_exact(question)
    child.sendline(text)


def test_a_person_is_asked_for_all_that_is_needed(tmp_path: Path) -> None:
    DEPLOYMENT.save(tmp_path / "deployment.json")
    (tmp_path / "patients.csv").write_text("age,weight,diagnosis\n1,2,0\n")
    child = init(tmp_path)
    answer(child, "Folder of the node", "clinic")
    answer(child, "Addresses file", "nowhere.json")
    child.expect_exact("Error:")
    answer(child, "Addresses file", "")
    answer(child, "address of the chain", "127.0.0.1:9")
    child.expect_exact("an address is http://")
    answer(child, "address of the chain", "http://127.0.0.1:9")
    child.expect_exact("does not answer now")
    answer(child, "A coordinator's address", "http://127.0.0.1:9")
    answer(child, "Training data", "nowhere.csv")
    child.expect_exact("there is no nowhere.csv")
    answer(child, "Training data", "patients.csv")
    answer(child, "Column with the labels [diagnosis]", "colour")
    child.expect_exact("the columns are age, weight, diagnosis")
    answer(child, "Column with the labels", "")
    answer(child, "Work: both, trainer or validator", "trainer")
    answer(child, "Owner's key file", "")
    answer(child, "New password of owner.json", "cold")
    answer(child, "Repeat", "cold")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    config = load_config(tmp_path / "clinic" / "node.yaml")
    owner = str(load_account(tmp_path / "owner.json", "cold").address)
    assert config.provider == owner
    assert config.roles == ("trainer",)
    assert config.coordinator == ("http://127.0.0.1:9",)
    assert config.data.model_dump()["label"] == "diagnosis"
    assert f"weal fund {owner} --tokens 1000" in child.before
    assert "weal-node register --config clinic/node.yaml" in child.before
    keystore = json.loads((tmp_path / "clinic" / "operator.json").read_text())
    assert set(keystore["crypto"]) >= {"cipher", "kdf", "mac"}


def test_what_is_given_is_not_asked_for(tmp_path: Path) -> None:
    DEPLOYMENT.save(tmp_path / "deployment.json")
    given = ["--rpc-url", "http://127.0.0.1:9", "--deployment", "deployment.json"]
    child = init(
        tmp_path, *given, "--data", "digits", "--role", "validator", "--coordinator", "http://c"
    )
    answer(child, "Folder of the node", "")
    answer(child, "Owner's key file", "-")
    child.expect_exact("Set keys.owner in the configuration")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert load_config(tmp_path / "my-node" / "node.yaml").roles == ("validator",)


def test_a_script_is_told_what_is_missing() -> None:
    with pytest.raises(SetupIncomplete) as caught:
        complete(NOTHING, may_ask=False)
    assert caught.value.details["missing"] == ["--data-dir", "--rpc-url", "--deployment"]


def test_with_all_that_must_be_given_nothing_is_asked() -> None:
    given = Answers(Path("n"), "http://r", Path("d"), None, None, None, None, None)
    found = complete(given, may_ask=True)
    assert (found.data, found.roles, found.owner) == ("digits", ("trainer", "validator"), None)


def test_another_chain_than_the_contracts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from commonweal.adapters.rpc import WrongChain

    class Other:
        def __init__(self, *_: object) -> None:
            pass

        @property
        def chain_id(self) -> int:
            raise WrongChain("chain 1, the contracts are on 31337", have=1, need=31337)

    DEPLOYMENT.save(tmp_path / "deployment.json")
    monkeypatch.setattr(interview, "ChainReader", Other)
    with pytest.raises(BadParameter, match="chain 1"):
        interview.check_chain("http://127.0.0.1:9", tmp_path / "deployment.json")


def test_a_folder_with_a_node_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").touch()
    with pytest.raises(BadParameter, match="there is a node"):
        interview.check_new_folder(str(tmp_path))
