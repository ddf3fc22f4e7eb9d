"""Which commands install the peers, and when none is run. The installers are not started here."""

import sys
from pathlib import Path

import pytest

from bench.peers import PEERS, Peers, PeersNotInstalled, ensure_peers


class Installer:
    """Records commands; makes the directory that `venv` would make."""

    def __init__(self, fails_at: str = "nothing") -> None:
        self.commands: list[list[str]] = []
        self._fails_at = fails_at

    def __call__(self, command: list[str]) -> None:
        self.commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            Path(command[3]).mkdir()
        if self._fails_at in command:
            raise PeersNotInstalled("no network")


def test_a_set_is_installed_once(tmp_path):
    installer = Installer()
    python = ensure_peers("aggregation", tools=tmp_path, run=installer)
    assert python == tmp_path / "peers-aggregation" / "bin" / "python"
    assert installer.commands[0] == [sys.executable, "-m", "venv", str(python.parents[1])]
    assert "flwr==1.41.0" in installer.commands[1]
    assert installer.commands[2][-2:] == ["--no-deps", "byzfl==0.0.11"]
    assert list(tmp_path.glob("peers-aggregation/lib/*/site-packages/torchvision/__init__.py"))
    ensure_peers("aggregation", tools=tmp_path, run=installer)
    assert len(installer.commands) == 3


def test_what_was_installed_by_half_or_from_another_list_is_installed_anew(tmp_path, monkeypatch):
    with pytest.raises(PeersNotInstalled):
        ensure_peers("round", tools=tmp_path, run=Installer(fails_at="torch==2.13.0"))
    ensure_peers("round", tools=tmp_path, run=(second := Installer()))
    assert len(second.commands) == 2
    monkeypatch.setitem(PEERS, "round", Peers(("flwr==9.9.9",)))
    ensure_peers("round", tools=tmp_path, run=(third := Installer()))
    assert "flwr==9.9.9" in third.commands[1]


def test_torch_is_pinned_in_every_set():
    assert all("torch==2.13.0" in peers.requirements for peers in PEERS.values())
