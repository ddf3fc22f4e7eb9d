"""Every command that README and docs show exists, with the options it is shown with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from commonweal.cli.app import app as weal
from node_agent.cli import app as weal_node
from service.cli import app as weal_coordinator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`((?:weal|weal-node|weal-coordinator) [a-z][^`]*)`")
PROGRAMS: dict[str, Any] = {
    "weal": typer.main.get_command(weal),
    "weal-node": typer.main.get_command(weal_node),
    "weal-coordinator": typer.main.get_command(weal_coordinator),
}


def _lines(page: Path) -> Iterator[str]:
    text = page.read_text()
    for block in BLOCK.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    yield from (line.replace("…", "") for line in INLINE.findall(text))


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for line in _lines(page):
            if line.split(" ")[0] in PROGRAMS:
                yield str(page.relative_to(ROOT)), line


SHOWN = sorted(set(_commands()))


@pytest.mark.parametrize(("page", "line"), SHOWN)
def test_a_command_that_is_shown_exists(page: str, line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    command = PROGRAMS[program]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page}: {program} has no command {words[0]}"
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    shown = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert shown <= known | {"--help"}, f"{page}: {line}"


def test_make_targets_that_are_shown_exist() -> None:
    makefiles = (ROOT / "Makefile").read_text() + (ROOT / "tests" / "analysis.mk").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefiles, re.MULTILINE))
    shown = {
        target
        for page in PAGES
        for line in (*_lines(page), *re.findall(r"`(make [a-z-]+)`", page.read_text()))
        if (match := re.match(r"make ([a-z-]+)", line))
        for target in [match[1]]
    }
    assert shown <= targets
    assert len(SHOWN) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []
