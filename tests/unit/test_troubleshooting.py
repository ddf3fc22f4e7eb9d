"""Each error code that the product can give has its line in docs/troubleshooting.md, no other."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import commonweal
import node_agent
import service
from commonweal.errors import CommonwealError
from service.api import errors as http

PACKAGES = (commonweal, service, node_agent)
ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (`[^|]+`) \|", re.MULTILINE)
CODE = re.compile(r"`([a-z][a-z0-9-]+)`")
ANSWERED = re.compile(r"answer_problem\(\s*\d+,\s*\"([a-z-]+)\"")


@pytest.fixture(scope="module")
def documented() -> list[str]:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    return [code for row in ROW.findall(page) for code in CODE.findall(row)]


@pytest.fixture(scope="module")
def codes() -> set[str]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    names = {package.__name__ for package in PACKAGES}
    ours = [e for e in _descendants(CommonwealError) if e.__module__.partition(".")[0] in names]
    return {kind.code for kind in ours} | set(http._HTTP_CODES.values()) | set(_answered())


def test_each_code_has_its_line(codes: set[str], documented: list[str]) -> None:
    assert sorted(codes - set(documented)) == []


def test_no_line_is_of_a_code_that_is_gone(codes: set[str], documented: list[str]) -> None:
    assert sorted(set(documented) - codes) == []


def test_no_code_has_two_lines(documented: list[str]) -> None:
    assert len(documented) == len(set(documented))


def _descendants(kind: type[CommonwealError]) -> Iterator[type[CommonwealError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


def _answered() -> Iterator[str]:
    for file in sorted((ROOT / "service").rglob("*.py")):
        yield from ANSWERED.findall(file.read_text())
