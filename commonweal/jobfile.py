"""Job files: `job.yaml` → what is trained (JobSpec) and on what terms (JobParameters, escrow).

Every error names the line and the field. Nothing here knows the chain or the coordinator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import yaml
from eth_utils.address import is_address, to_checksum_address
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
)

from commonweal.errors import CommonwealError, InvalidInput
from commonweal.learning.data import DataSource, InvalidData
from commonweal.learning.encoding import update_size
from commonweal.protocol.merkle import compute_allowlist_leaf, compute_proof, compute_root
from commonweal.protocol.specs import DataSpec, FileLink, JobSpec
from commonweal.protocol.types import (
    ZERO_DIGEST,
    Address,
    Bps,
    Digest,
    JobParameters,
    Wei,
)
from commonweal.validation_sets import ValidationSet, read_validation_set

MAX_BYTES = 256 * 1024
TOKEN = 10**18  # wei
ZERO_ADDRESS = Address("0x" + "00" * 20)
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class InvalidJobFile(InvalidInput):
    code = "invalid-job-file"


class NotOnAllowlist(InvalidInput):
    code = "not-on-allowlist"


@dataclass(frozen=True, slots=True)
class FieldError:
    line: int
    field: str
    message: str


def _parse_amount(value: object) -> int:
    text = str(value).strip()
    unit = 1 if text.endswith("wei") else TOKEN
    try:
        wei = Decimal(text.removesuffix("wei").strip()) * unit
    except InvalidOperation:
        raise ValueError("should be a number of tokens, or of wei as in '5000 wei'") from None
    if not wei.is_finite() or wei != wei.to_integral_value():
        raise ValueError("should be a whole number of wei")
    return int(wei)


def _parse_duration(value: object) -> int:
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("should be seconds, or a number with s, m, h or d as in '90s'")
    return int(match[1]) * _SECONDS[match[2]]


def _parse_address(value: object) -> str:
    if not isinstance(value, str) or not is_address(value):
        raise ValueError("should be an address: 0x and 40 hexadecimal digits, in quotes")
    return to_checksum_address(value)


def _check_odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("should be odd")
    return value


def _as_written(pattern: str, description: str) -> WithJsonSchema:
    """For editors: what is parsed from a number or from text."""
    number = {"type": "number", "exclusiveMinimum": 0}
    text = {"type": "string", "pattern": pattern}
    return WithJsonSchema({"anyOf": [number, text], "description": description})


Amount = Annotated[
    int,
    BeforeValidator(_parse_amount),
    Field(gt=0, lt=2**128),
    _as_written(r"^\s*[0-9.]+\s*(wei)?\s*$", "tokens, or '5000 wei'"),
]
Seconds = Annotated[
    int,
    BeforeValidator(_parse_duration),
    Field(gt=0, lt=2**32),
    _as_written(r"^\s*[0-9]+\s*[smhd]?\s*$", "seconds, or 90s, 15m, 2h, 1d"),
]
AddressField = Annotated[
    str,
    BeforeValidator(_parse_address),
    WithJsonSchema({"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}),
]
Share = Annotated[int, Field(ge=0, le=10_000)]
Count = Annotated[int, Field(ge=1, lt=2**16)]


class Terms(BaseModel):
    """What the requester pays and asks for. Amounts in tokens, times in seconds or as '15m'."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: Annotated[int, Field(ge=1, lt=2**32)]
    price_per_round: Amount
    escrow: Amount | None = None
    validator_share_bps: Share = 2000
    coordinator_share_bps: Share = 500
    coordinator: AddressField = ZERO_ADDRESS
    min_trainers: Count = 3
    max_trainers: Count = 100
    committee_size: Annotated[int, Field(ge=1, le=15), AfterValidator(_check_odd)] = 5
    min_stake: Amount
    commit_window: Seconds = 3600
    reveal_window: Seconds = 1800
    ballot_commit_window: Seconds = 3600
    ballot_reveal_window: Seconds = 1800
    attest_window: Seconds = 1800
    recruit_for: Seconds = 86_400
    max_failed_rounds: Annotated[int, Field(ge=0, lt=2**16)] = 3
    allowlist: tuple[AddressField, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFile:
    """`validation`: the set that `spec` names, if the file says where the samples are."""

    spec: JobSpec
    terms: Terms
    validation: ValidationSet | None = None

    @property
    def escrow(self) -> Wei:
        """What is deposited: as declared, or the price of all rounds."""
        return Wei(self.terms.escrow or self.terms.rounds * self.terms.price_per_round)


def compute_allowlist_root(providers: tuple[str, ...]) -> Digest:
    """Leaves in ascending order of address; zero, that is open to all, for an empty list."""
    leaves = _allowlist_leaves(providers)
    return Digest(compute_root(list(leaves.values()))) if leaves else ZERO_DIGEST


def compute_allowlist_proof(providers: tuple[str, ...], provider: str) -> tuple[bytes, ...]:
    """What `provider` shows when it joins. Raises NotOnAllowlist."""
    leaves = _allowlist_leaves(providers)
    if provider.lower() not in leaves:
        raise NotOnAllowlist(f"{provider} is not on the allowlist", provider=provider)
    return compute_proof(list(leaves.values()), list(leaves).index(provider.lower()))


def _allowlist_leaves(providers: tuple[str, ...]) -> dict[str, bytes]:
    ordered = sorted({each.lower() for each in providers})
    return {each: compute_allowlist_leaf(Address(each)) for each in ordered}


def compute_parameters(terms: Terms, *, spec: Digest, model: Digest, now: int) -> JobParameters:
    """The contract's parameters for these terms, recruiting from `now` (seconds) on."""
    return JobParameters(
        spec_digest=spec,
        initial_model=model,
        rounds=terms.rounds,
        price_per_round=Wei(terms.price_per_round),
        validator_share_bps=Bps(terms.validator_share_bps),
        coordinator_share_bps=Bps(terms.coordinator_share_bps),
        coordinator=Address(terms.coordinator),
        min_trainers=terms.min_trainers,
        max_trainers=terms.max_trainers,
        committee_size=terms.committee_size,
        min_stake=Wei(terms.min_stake),
        commit_window=terms.commit_window,
        reveal_window=terms.reveal_window,
        ballot_commit_window=terms.ballot_commit_window,
        ballot_reveal_window=terms.ballot_reveal_window,
        attest_window=terms.attest_window,
        recruit_until=now + terms.recruit_for,
        max_failed_rounds=terms.max_failed_rounds,
        allowlist_root=compute_allowlist_root(terms.allowlist),
    )


_NamedOrThere = Annotated[
    Annotated[FileLink, Tag("cid")] | Annotated[DataSource, Tag("samples")],
    Discriminator(lambda value: "samples" if isinstance(value, dict | BaseModel) else "cid"),
    Field(description="CID of a validation set, or where its samples are, as at a node"),
]


class _JobFileData(DataSpec):
    validation: _NamedOrThere | None = None  # type: ignore[assignment]  # wider than in the spec


class _JobFileModel(JobSpec):
    data: _JobFileData
    terms: Terms


def compute_job_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of job files, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_JobFileModel.model_json_schema(),
        "title": "Commonweal job file",
    }


def load_job_file(path: Path) -> JobFile:
    """Raises InvalidJobFile."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidJobFile(f"{path}: {error.strerror}", path=str(path)) from None
    return parse_job_file(data, name=str(path), folder=path.parent)


def parse_job_file(data: bytes, *, name: str = "job.yaml", folder: Path | None = None) -> JobFile:
    """`folder`: what paths are relative to; None: files are not read.

    Raises InvalidJobFile, whose message has one line per error: `name:line: field: what`.
    """
    if len(data) > MAX_BYTES:
        raise InvalidJobFile(f"{name}: {len(data)} bytes, at most {MAX_BYTES}", size=len(data))
    root = _compose(data, name)
    try:
        parsed = _JobFileModel.model_validate(_construct(root, name))
    except ValidationError as error:
        raise _refuse(name, [_locate(root, dict(each)) for each in error.errors()]) from None
    spec, validation = _resolve(root, parsed, name, folder)
    errors = [
        *_check_shapes(root, spec),
        *_check_update_size(root, spec),
        *_check_terms(root, parsed.terms),
    ]
    if errors:
        raise _refuse(name, errors)
    return JobFile(spec, parsed.terms, validation)


def _resolve(
    root: yaml.Node, parsed: _JobFileModel, name: str, folder: Path | None
) -> tuple[JobSpec, ValidationSet | None]:
    """Samples that the file points to become a set's content, and in the spec its CID."""
    fields, source = parsed.model_dump(exclude={"terms"}), parsed.data.validation
    if source is None or isinstance(source, str):
        return JobSpec.model_validate(fields), None
    try:
        validation = _read_samples(source, folder, parsed.data)
    except CommonwealError as error:
        at = {"loc": ("data", "validation"), "msg": error.message, "type": ""}
        raise _refuse(name, [_locate(root, at)]) from None
    fields["data"]["validation"] = validation.cid
    return JobSpec.model_validate(fields), validation


def _read_samples(source: DataSource, folder: Path | None, spec: DataSpec) -> ValidationSet:
    if folder is None:
        raise InvalidData("files are read by `weal job submit` only: give the CID of a stored set")
    return read_validation_set(source, folder, spec)


def _compose(data: bytes, name: str) -> yaml.Node:
    try:
        root = yaml.compose(data, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise _refuse(name, [FieldError(line, "yaml", error.problem or "malformed")]) from None
    except yaml.YAMLError as error:
        raise _refuse(name, [FieldError(1, "yaml", str(error).splitlines()[0])]) from None
    if not isinstance(root, yaml.MappingNode):
        raise _refuse(name, [FieldError(1, "yaml", "a job file is a mapping of fields")])
    return root


def _construct(root: yaml.Node, name: str) -> Any:
    seen: set[int] = set()

    def build(node: yaml.Node, path: str) -> Any:
        # An alias repeats a node: refused, since nested aliases grow without bound.
        if id(node) in seen:
            raise _refuse(
                name, [FieldError(_line(node), path or "yaml", "aliases are not accepted")]
            )
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return build_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [build(item, f"{path}.{i}") for i, item in enumerate(node.value)]
        return construct_scalar(node, path)

    def build_mapping(node: yaml.MappingNode, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            field = f"{path}.{key.value}".lstrip(".")
            if not isinstance(key, yaml.ScalarNode) or key.value in values:
                raise _refuse(name, [FieldError(_line(key), field, "given twice")])
            values[str(key.value)] = build(value, field)
        return values

    def construct_scalar(node: yaml.Node, path: str) -> Any:
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            message = str(error).splitlines()[0]
            raise _refuse(name, [FieldError(_line(node), path, message)]) from None
        finally:
            loader.dispose()

    return build(root, "")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _locate(root: yaml.Node, error: dict[str, Any]) -> FieldError:
    """The line of the deepest node on the error's path; pydantic's union tags are skipped."""
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


def _find_child(node: yaml.Node, part: object) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((v, _line(k)) for k, v in node.value if k.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], _line(node.value[part])
    return None


def _check_shapes(root: yaml.Node, spec: JobSpec) -> list[FieldError]:
    """What single fields cannot say: model and data must speak of the same thing."""
    errors = []
    if spec.model.classes != spec.data.classes:
        message = f"{spec.data.classes}, but model.classes is {spec.model.classes}"
        errors.append(_locate(root, {"loc": ("data", "classes"), "msg": message, "type": ""}))
    features, inputs = 1, 1
    for each in spec.data.features:
        features *= each
    for each in spec.model.shape if spec.model.family == "cnn" else (spec.model.inputs,):
        inputs *= each
    if features != inputs:
        message = f"{features} values per sample, but the model takes {inputs}"
        errors.append(_locate(root, {"loc": ("data", "features"), "msg": message, "type": ""}))
    return errors


def _check_update_size(root: yaml.Node, spec: JobSpec) -> list[FieldError]:
    """Else every honest update would be invalid, and its trainer slashed."""
    size, limit = update_size(spec), spec.limits.max_update_bytes
    if size <= limit:
        return []
    message = f"{limit}, but an update has up to {size} bytes"
    error = {"loc": ("limits", "max_update_bytes"), "msg": message, "type": ""}
    return [_locate(root, error)]


def _check_terms(root: yaml.Node, terms: Terms) -> list[FieldError]:
    errors = []

    def refuse(field: str, message: str) -> None:
        errors.append(_locate(root, {"loc": ("terms", field), "msg": message, "type": ""}))

    if terms.validator_share_bps + terms.coordinator_share_bps > 10_000:
        refuse("validator_share_bps", "with coordinator_share_bps more than 10000")
    if terms.max_trainers < terms.min_trainers:
        refuse("max_trainers", f"{terms.max_trainers} is below min_trainers {terms.min_trainers}")
    need = terms.rounds * terms.price_per_round
    if terms.escrow is not None and terms.escrow < need:
        refuse("escrow", f"{terms.escrow} wei, rounds × price_per_round is {need} wei")
    return errors


def _refuse(name: str, errors: list[FieldError]) -> InvalidJobFile:
    lines = [f"{name}:{each.line}: {each.field}: {each.message}" for each in errors]
    details = [{"line": each.line, "field": each.field, "message": each.message} for each in errors]
    return InvalidJobFile("\n".join(lines), errors=details)
