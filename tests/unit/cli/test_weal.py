"""The `weal` command: help, exit statuses, and errors without tracebacks. No network here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commonweal.cli.app import run

COMMANDS = [
    [],
    ["job"],
    ["job", "submit"],
    ["job", "estimate"],
    ["job", "list"],
    ["job", "show"],
    ["job", "watch"],
    ["job", "cancel"],
    ["model"],
    ["model", "get"],
    ["verify"],
    ["deploy"],
    ["keystore"],
    ["keystore", "new"],
    ["fund"],
    ["dev"],
    ["demo"],
    ["stop"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"]) == 0
    printed = capsys.readouterr()
    assert f"weal {' '.join(command)}".strip() in " ".join(printed.out.split())
    assert printed.err == ""


def test_wrong_usage_has_its_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify"]) == 2
    assert run(["job", "sing"]) == 2
    assert run(["verify", "0"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_verify_says_what_it_trusts(capsys: pytest.CaptureFixture[str]) -> None:
    from commonweal.cli.verification import print_report
    from commonweal.verification import Report

    run(["verify", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "Trusted is the RPC endpoint" in told
    assert "--max-model-bytes" in told
    report = Report(1, 9, left_out=["updates judged invalid"])
    print_report(report, "the logs of http://chain")
    lines = capsys.readouterr().out.splitlines()
    assert "  left out: updates judged invalid" in lines
    assert "  trusted: the logs of http://chain" in lines
    assert lines[-1] == "Verified."


def test_error_in_a_job_file_names_line_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("name: x\nmodel: {family: mlp, inputs: 64, hidden: [0], classes: 10}\n")
    assert run(["job", "submit", str(file), "--keystore", str(tmp_path / "key.json")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error[invalid-job-file]: {file}:2: model.hidden.0: ")
    assert printed.out == ""


def test_estimate_says_what_a_job_costs_before_anything_is_signed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = Path(__file__).parents[3] / "examples" / "fashion.yaml"
    assert run(["job", "estimate", str(example)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "encoding top-k-int8" in told
    assert "times smaller than float32" in told
    assert run(["job", "estimate", str(example), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["times_smaller"] > 50
    assert found["escrow"] == 20 * 100 * 10**18


def test_unreachable_coordinator(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["job", "list", "--url", "http://127.0.0.1:9"]) == 4
    assert capsys.readouterr().err.startswith("error[coordinator-unreachable]: http://127.0.0.1:9")


def test_missing_addresses_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "1", "--deployment", str(tmp_path / "none.json")]) == 3
    assert capsys.readouterr().err.startswith("error[deployment-not-found]: ")


def test_new_keystore_opens_and_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from commonweal.adapters.keystore import load_account

    password = tmp_path / "password"
    password.write_text("correct horse\n")
    file = tmp_path / "key.json"
    command = ["keystore", "new", str(file), "--password-file", str(password), "--json"]
    assert run(command) == 0
    address = json.loads(capsys.readouterr().out)["address"]
    assert load_account(file, "correct horse").address == address
    assert file.stat().st_mode & 0o777 == 0o600
    assert run(command) == 5
    assert capsys.readouterr().err.startswith("error[keystore-exists]: ")


ADDRESS = "0x" + "a1" * 20


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([ADDRESS], "error[invalid-amount]: 0 tokens and 0 ETH"),
        (["0xa1", "--eth", "1"], "error[invalid-address]: '0xa1'"),
        ([ADDRESS, "--eth", "0.5"], "valid integer"),
        ([ADDRESS, "--tokens", "-1"], "greater than or equal to 0"),
    ],
)
def test_fund_refuses_other_amounts_before_it_opens_a_key(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fund", *arguments, "--keystore", "none.json"]) == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert text in shown


def test_stopping_what_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stop", "--data-dir", str(tmp_path)]) == 3
    assert capsys.readouterr().err.startswith("error[no-network]: ")


def test_demo_wants_a_folder_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "something").touch()
    assert run(["demo", "--data-dir", str(tmp_path), "--json"]) == 5
    printed = capsys.readouterr()
    assert "error[folder-in-use]: " in printed.err
    assert printed.out == ""


def test_local_network_needs_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from commonweal.devnet import network

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(network, "__file__", str(tmp_path / "a" / "b" / "c" / "network.py"))
    assert run(["dev", "--data-dir", str(tmp_path / "dev")]) == 3
    assert "make setup" in capsys.readouterr().err


def test_default_address_is_where_a_coordinator_listens_by_default() -> None:
    from commonweal.cli.options import DEFAULT_URL
    from service.settings import Settings

    port = Settings.model_fields["port"].default
    assert f"http://127.0.0.1:{port}" == DEFAULT_URL
