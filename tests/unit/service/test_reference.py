"""docs/api.md is what the code says, and the SDK reads what the API answers."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from commonweal.client import Client
from service.reference import describe_api, write_reference

PAGE = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe_api()


def test_the_reference_is_up_to_date(document: dict[str, Any]) -> None:
    renew = "python -m service.reference > docs/api.md"
    assert PAGE.read_text() == write_reference(document), f"say: {renew}"


def test_every_operation_type_and_verb_has_its_entry(document: dict[str, Any]) -> None:
    headings = set(re.findall(r"^#{3,4} (.+)$", PAGE.read_text(), re.MULTILINE))
    operations = {f"`{m.upper()} {path}`" for path, ms in document["paths"].items() for m in ms}
    verbs = {name for name in vars(Client) if not name.startswith("_")}
    assert operations | set(document["components"]["schemas"]) | verbs <= headings
    assert len(operations) > 30


def test_its_links_lead_to_headings() -> None:
    page = PAGE.read_text()
    anchors = {name.lower() for name in re.findall(r"^#+ (.+)$", page, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors


class Recording(Client):
    """Notes what each verb asks for, and what it takes the answer for."""

    def __init__(self) -> None:
        super().__init__("http://nowhere")
        self.asked: list[tuple[str, str]] = []

    def _get(self, kind: Any, path: str, params: Any = None) -> Any:
        self.asked.append((path, kind.__name__))


def test_the_sdk_takes_answers_for_what_the_api_says_they_are(document: dict[str, Any]) -> None:
    with Recording() as client:
        for name, verb in vars(Client).items():
            if inspect.isfunction(verb) and not name.startswith("_"):
                arguments = [each for each in inspect.signature(verb).parameters if each != "self"]
                if name not in ("close", "submit", "watch"):
                    getattr(client, name)(*["7"] * (len(arguments) - (name == "jobs")))
    assert len(client.asked) == 11
    for path, kind in client.asked:
        (operation,) = [
            methods["get"]
            for template, methods in document["paths"].items()
            if re.fullmatch(re.sub(r"\{\w+\}", "7", template), path)
        ]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["$ref"].rpartition("/")[2] == re.sub(r"\W", "_", kind)
