"""docs/api.md, made from what the code says of itself: the API's document and the SDK's docstrings.

python -m service.reference > docs/api.md
"""

from __future__ import annotations

import inspect
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.client import Client, JobEvent
from service.app import create_routes

Json = dict[str, Any]
_HEAD = """# API reference

Made from the code by `python -m service.reference > docs/api.md`; a test holds it up to date.
A coordinator serves the HTTP part as `/openapi.json`.
"""
_SDK = """## Python SDK

`from commonweal import Client, AsyncClient`. `AsyncClient` has the same verbs, to be awaited, and
an asynchronous iterator for `watch`. Answers are the types of `commonweal.answers`, described
[below](#types): money is an integer of wei there, a decimal string in JSON.
"""


def describe_api() -> Json:
    """The OpenAPI document of a coordinator; no coordinator is needed for it."""
    with tempfile.TemporaryDirectory() as folder:
        return create_routes(EmbeddedStore(Path(folder)), upload_seconds=1.0).openapi()


def write_reference(document: Json) -> str:
    """Markdown."""
    parts = [_HEAD, *_write_sdk(), *_write_http(document), *_write_types(document)]
    return "\n".join(parts)


def _write_sdk() -> Iterator[str]:
    yield _SDK
    for kind in (JobEvent, Client):
        yield f"### {kind.__name__}\n\n{_doc(kind)}\n"
        yield "```python"
        yield f"{kind.__name__}{_signature(kind)}"
        yield "```\n"
    for name, verb in vars(Client).items():
        if inspect.isfunction(verb) and not name.startswith("_"):
            yield f"#### {name}\n\n```python\n{name}{_signature(verb)}\n```\n"
            if verb.__doc__:
                yield f"{_doc(verb)}\n"


def _signature(thing: Any) -> str:
    """Without `self`; annotations as they are written."""
    signature = inspect.signature(thing)
    kept = [each for each in signature.parameters.values() if each.name != "self"]
    text = str(signature.replace(parameters=kept)).replace("'", "").replace("answers.", "")
    return text.removesuffix(" -> None")


def _doc(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def _write_http(document: Json) -> Iterator[str]:
    yield f"## HTTP API\n\n{document['info']['description'].strip()}\n"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield from _write_operation(f"{method.upper()} {path}", operation)


def _write_operation(title: str, operation: Json) -> Iterator[str]:
    yield f"### `{title}`\n\n{operation['summary']}.\n"
    if text := operation.get("description"):
        yield f"{inspect.cleandoc(text)}\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "| parameter | in | type | |\n|---|---|---|---|"
        for each in parameters:
            cells = [f"`{each['name']}`", each["in"], _type(each["schema"]), _note(each)]
            yield f"| {' | '.join(cells)} |"
        yield ""
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body: {_type(body.get('schema', {}))} (`{media}`)\n"
    yield "| status | answer | |\n|---|---|---|"
    for status, answer in sorted(operation["responses"].items()):
        yield f"| {status} | {_answer_type(answer)} | {_cell(answer['description'])} |"
    yield ""


def _answer_type(answer: Json) -> str:
    """Problems are all of one type, named once."""
    types = {
        media: _type(body.get("schema", {})) for media, body in answer.get("content", {}).items()
    }
    if "application/problem+json" in types:
        return types["application/problem+json"]
    return ", ".join(
        each if media == "application/json" else f"`{media}`" for media, each in types.items()
    )


def _write_types(document: Json) -> Iterator[str]:
    yield "## Types\n"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"### {name}\n"
        if text := schema.get("description"):
            yield f"{inspect.cleandoc(text)}\n"
        yield "| field | type | |\n|---|---|---|"
        for field, value in schema.get("properties", {}).items():
            optional = "" if field in schema.get("required", []) else "optional. "
            yield f"| `{field}` | {_type(value)} | {optional}{_note(value)} |"
        yield ""


def _type(schema: Json) -> str:
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(_type, options))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"map to {_type(values)}"
    return str(schema.get("type", "any"))


def _note(value: Json) -> str:
    schema = value.get("schema", value)
    notes = [_cell(value.get("description", ""))]
    if "default" in schema and schema["default"] is not None:
        notes.append(f"default {schema['default']}")
    bounds = {"minimum": "at least", "maximum": "at most"}
    notes += [f"{word} {schema[name]}" for name, word in bounds.items() if name in schema]
    return "; ".join(note for note in notes if note)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(write_reference(describe_api()))
