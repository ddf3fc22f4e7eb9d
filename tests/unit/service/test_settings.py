"""Settings from options, a file and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import InvalidSettings, load_settings

TWO = ("http://first:8545", "http://second:8545")


def test_endpoints_are_listed_in_every_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(None, {"rpc_url": list(TWO)}).rpc_url == TWO
    assert load_settings(None, {"rpc_url": []}).rpc_url == ("http://127.0.0.1:8545",)
    file = tmp_path / "settings.yaml"
    file.write_text(f"rpc_url: {list(TWO)}")
    assert load_settings(file, {}).rpc_url == TWO
    file.write_text(f"rpc_url: {TWO[0]}")
    assert load_settings(file, {}).rpc_url == TWO[:1]
    monkeypatch.setenv("WEAL_COORDINATOR_RPC_URL", " ".join(TWO))
    assert load_settings(None, {}).rpc_url == TWO
    with pytest.raises(InvalidSettings):
        load_settings(None, {"rpc_url": " "})


def test_a_coordinator_knows_the_names_it_is_dialled_by() -> None:
    options = {"host": "::", "port": 8750, "hosts": ["coordinator.example.org"]}
    assert load_settings(None, options).own_hosts == {
        "coordinator.example.org",
        "[::]:8750",
        "127.0.0.1:8750",
        "localhost:8750",
        "[::1]:8750",
    }
    assert "localhost" in load_settings(None, {"port": 80}).own_hosts
