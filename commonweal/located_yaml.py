"""YAML whose errors know their line. No aliases, no key twice, nothing but plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import Node

__all__ = ["FieldError", "FieldErrors", "Node", "compose", "construct", "locate"]

_MAX_DEPTH = 32
_TEXT, _LONGEST_VALUE = "tag:yaml.org,2002:str", 100  # characters of what is no text


@dataclass(frozen=True, slots=True)
class FieldError:
    line: int
    field: str
    message: str


class FieldErrors(Exception):
    """For whoever knows the file's name to tell the user."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(*errors)
        self.errors = errors


class _Loader(yaml.SafeLoader):
    """Refuses what nests too deep for those who recurse."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.depth == _MAX_DEPTH:
            here = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # as stubs have it
            raise yaml.MarkedYAMLError(
                problem=f"nests more than {_MAX_DEPTH} deep", problem_mark=here
            )
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def compose(data: bytes) -> Node:
    """The mapping that a file holds. Raises FieldErrors."""
    try:
        root = yaml.compose(data, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise FieldErrors(FieldError(line, "yaml", error.problem or "malformed")) from None
    except (yaml.YAMLError, ValueError, ArithmeticError) as error:
        raise FieldErrors(FieldError(1, "yaml", str(error).splitlines()[0])) from None
    if not isinstance(root, yaml.MappingNode):
        raise FieldErrors(FieldError(1, "yaml", "a job file is a mapping of fields"))
    return root


def construct(root: Node) -> Any:
    """Its values. Raises FieldErrors."""
    seen: set[int] = set()

    def build(node: Node, path: str) -> Any:
        # An alias repeats a node: refused, since nested aliases grow without bound.
        if id(node) in seen:
            raise _refuse(node, path, "aliases are not accepted")
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return build_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [build(item, f"{path}.{i}") for i, item in enumerate(node.value)]
        return _construct_scalar(node, path)

    def build_mapping(node: yaml.MappingNode, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refuse(key, path, "a field's name is text")
            field = f"{path}.{key.value}".lstrip(".")
            if key.value in values:
                raise _refuse(key, field, "given twice")
            values[str(key.value)] = build(value, field)
        return values

    return build(root, "")


def _construct_scalar(node: Node, path: str) -> Any:
    kind = node.tag.rpartition(":")[2]
    if node.tag != _TEXT and len(node.value) > _LONGEST_VALUE:
        raise _refuse(node, path, f"{len(node.value)} characters are too long for the type {kind}")
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise _refuse(node, path, str(error).splitlines()[0]) from None
    except (LookupError, AttributeError, ArithmeticError):  # of tags that do not fit their values
        raise _refuse(node, path, f"{node.value!r} is not of the type {kind}") from None
    finally:
        loader.dispose()


def _refuse(node: Node, path: str, message: str) -> FieldErrors:
    return FieldErrors(FieldError(_line(node), path or "yaml", message))


def locate(root: Node, error: Mapping[str, Any]) -> FieldError:
    """One of pydantic's errors, at the deepest node on its path; tags of unions are skipped."""
    node, line, field = root, _line(root), []
    for part in error["loc"]:
        child = _find_child(node, part)
        if child is None:
            if error["type"] in ("missing", "extra_forbidden") and part == error["loc"][-1]:
                field.append(str(part))
            continue
        node, line = child
        field.append(str(part))
    return FieldError(
        line, ".".join(field) or "yaml", str(error["msg"]).removeprefix("Value error, ")
    )


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _find_child(node: Node, part: object) -> tuple[Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((v, _line(k)) for k, v in node.value if k.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], _line(node.value[part])
    return None
