"""`weal-node doctor` and `weal-node data` where nothing answers: each check still has its say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from node_agent.cli import main
from node_agent.config import load_config
from node_agent.doctor import Finding, examine


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    with pytest.raises(SystemExit) as left:
        main(["init", "--data-dir", str(folder), "--rpc-url", "http://127.0.0.1:9", "--light",
              "--deployment", "nowhere.json", "--coordinator", "http://127.0.0.1:9"])  # fmt: skip
    assert left.value.code in (0, None)
    structlog.reset_defaults()
    return folder / "node.yaml"


def change(config: Path, **values: object) -> None:
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **values}))


def states(config: Path) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in examine(load_config(config)):
        found.setdefault(finding.check, []).append(finding)
    return found


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(arguments)
    shown = capsys.readouterr()
    structlog.reset_defaults()
    return int(left.value.code or 0), shown.out, shown.err


def test_without_a_chain_the_rest_is_examined(config: Path) -> None:
    found = states(config)
    (chain,) = found["chain"]
    assert chain.state == "failed"
    assert "deployment-not-found" in chain.found
    assert found["clock"][0].state == "skipped"
    assert found["coordinator"][0].state == "warning"
    for check in ("keys", "disk", "data", "training"):
        assert [each.state for each in found[check]] == ["ok"]
    assert all(each.remedy for each in (*found["chain"], *found["coordinator"]))


def test_keys_that_others_can_read_are_pointed_out(config: Path) -> None:
    (config.parent / "operator.password").chmod(0o644)
    warning = states(config)["keys"][1]
    assert (warning.state, "chmod 600" in (warning.remedy or "")) == ("warning", True)


def test_data_that_are_not_there_fail_alone(config: Path) -> None:
    change(config, data={"kind": "csv", "path": "gone.csv", "label": "y"})
    found = states(config)
    assert found["data"][0].state == "failed"
    assert "gone.csv" in found["data"][0].found
    assert found["disk"][0].state == "ok"


def test_doctor_ends_with_status_1_when_something_failed(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, "doctor", "--config", str(config), "--json")
    findings: list[dict[str, Any]] = json.loads(out)["findings"]
    assert status == 1
    assert {each["check"] for each in findings} >= {"keys", "chain", "data"}
    status, out, _ = run(capsys, "doctor", "--config", str(config))
    assert status == 1
    assert "failed" in out


def test_data_shows_labels_and_what_is_odd(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{300 + at},{at % 2},{int(at == 0)}\n" for at in range(20))
    (tmp_path / "rows.csv").write_text("dose,sex,sick\n" + rows)
    change(config, data={"kind": "csv", "path": str(tmp_path / "rows.csv"), "label": "sick"})
    status, out, _ = run(capsys, "data", "--config", str(config))
    assert status == 0
    assert "20 rows of 2 features from 0 to 319" in out
    assert "fewer than 5 rows with label 1" in out
    assert "scale them" in out
    status, out, _ = run(capsys, "data", "--config", str(config), "--json")
    assert json.loads(out)["labels"] == {"0": 19, "1": 1}


def test_data_are_held_against_a_job_file(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Path(__file__).parents[3] / "examples" / "digits.yaml"
    status, out, _ = run(capsys, "data", "--config", str(config), "--job-file", str(job))
    assert (status, "They fit" in out) == (0, True)
    # The requester's samples are not needed for that.
    elsewhere = (
        "data:\n  validation: {kind: csv, path: away.csv, label: y}\n  share_validation: true"
    )
    (tmp_path / "job.yaml").write_text(job.read_text().replace("\ndata:", "\n" + elsewhere))
    named = str(tmp_path / "job.yaml")
    status, out, _ = run(capsys, "data", "--config", str(config), "--job-file", named)
    assert (status, "They fit" in out) == (0, True)
    (tmp_path / "rows.csv").write_text("a,y\n" + "1,0\n" * 9)
    change(config, data={"kind": "csv", "path": str(tmp_path / "rows.csv"), "label": "y"})
    status, _, err = run(capsys, "data", "--config", str(config), "--job-file", str(job))
    assert status == 2
    assert "1 features per row, the job wants 64" in err
