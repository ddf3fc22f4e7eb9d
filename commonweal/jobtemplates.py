"""New job files from templates, and the JSON Schema that editors complete them with. No IO."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from string import Template
from typing import Any

from commonweal.jobfile import JobFile, compute_job_schema, parse_job_file


class Kind(StrEnum):
    """Of data; each has a template of its own."""

    TABULAR = "tabular"
    IMAGES = "images"


_TITLES = {Kind.TABULAR: "Tabular data", Kind.IMAGES: "Images"}
SCHEMA_FILE = "job.schema.json"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a wizard asks for. `window`: seconds for training or judging; other phases have half."""

    kind: Kind
    name: str
    features: tuple[int, ...]
    classes: int
    rounds: int
    price: int  # tokens per round
    stake: int  # tokens
    window: int

    @property
    def file(self) -> JobFile:
        """Raises InvalidJobFile."""
        return parse_job_file(write_job_file(self).encode())


def write_job_file(draft: Draft) -> str:
    """The YAML, with comments, of a job that stands in one piece with `draft`."""
    values = {
        "title": _TITLES[draft.kind],
        "name": json.dumps(draft.name, ensure_ascii=False),  # a JSON string is a YAML string
        "features": list(draft.features),
        "inputs": math.prod(draft.features),
        "classes": draft.classes,
        "rounds": draft.rounds,
        "price": draft.price,
        "stake": draft.stake,
        "window": f"{draft.window}s",
        "half": f"{max(1, draft.window // 2)}s",
    }
    head = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
    parts = (_read(f"{draft.kind}.yaml"), _read("terms.yaml"))
    return head + "".join(Template(part).substitute(values) for part in parts)


def write_schema() -> str:
    schema: dict[str, Any] = compute_job_schema()
    return json.dumps(schema, indent=2) + "\n"


def _read(name: str) -> str:
    return (files("commonweal") / "templates" / name).read_text()
