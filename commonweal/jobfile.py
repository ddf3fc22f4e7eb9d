"""Job files: `job.yaml` → what is trained (JobSpec) and on what terms (JobParameters, escrow).

Every error names the line and the field. Nothing here knows the chain or the coordinator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, Inexact, localcontext
from pathlib import Path
from typing import Annotated, Any

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
from commonweal.located_yaml import FieldError, FieldErrors, Node, compose, construct, locate
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
_MOST_DIGITS = 60  # before the point: more than any amount has, few enough to count with
_MOST_ERRORS = 100  # that are told at once
ZERO_ADDRESS = Address("0x" + "00" * 20)
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class InvalidJobFile(InvalidInput):
    code = "invalid-job-file"


class NotOnAllowlist(InvalidInput):
    code = "not-on-allowlist"


def _parse_amount(value: object) -> int:
    text = str(value).strip()
    unit = 1 if text.endswith("wei") else TOKEN
    try:
        amount = Decimal(text.removesuffix("wei").strip())
        if amount.adjusted() >= _MOST_DIGITS:
            raise ValueError(f"should have at most {_MOST_DIGITS} digits")
        with localcontext(prec=_MOST_DIGITS + 18) as context:
            context.traps[Inexact] = True  # nothing is rounded off in silence
            wei = amount * unit
    except ArithmeticError:
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


FindSamples = Callable[[DataSource, DataSpec], ValidationSet | None]
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


def load_job_file(path: Path, *, read_samples: bool = True) -> JobFile:
    """`read_samples`: else a validation set whose samples lie elsewhere is left out, for those who
    have the job file alone. Raises InvalidJobFile.
    """

    def find(source: DataSource, spec: DataSpec) -> ValidationSet | None:
        return read_validation_set(source, path.parent, spec) if read_samples else None

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidJobFile(f"{path}: {error.strerror}", path=str(path)) from None
    return parse_job_file(data, name=str(path), find_samples=find)


def _refuse_samples(source: DataSource, spec: DataSpec) -> ValidationSet | None:
    raise InvalidData("files are read by `weal job submit` only: give the CID of a stored set")


def parse_job_file(
    data: bytes, *, name: str = "job.yaml", find_samples: FindSamples = _refuse_samples
) -> JobFile:
    """`find_samples`: what makes a set of the samples that the file points to, or leaves them out.

    Raises InvalidJobFile, whose message has one line per error: `name:line: field: what`.
    """
    if len(data) > MAX_BYTES:
        raise InvalidJobFile(f"{name}: {len(data)} bytes, at most {MAX_BYTES}", size=len(data))
    try:
        return _parse(data, find_samples)
    except FieldErrors as found:
        raise _refuse(name, found.errors) from None


def _parse(data: bytes, find_samples: FindSamples) -> JobFile:
    root = compose(data)
    try:
        parsed = _JobFileModel.model_validate(construct(root))
    except ValidationError as error:
        found = error.errors()[:_MOST_ERRORS]
        raise FieldErrors(*(locate(root, each) for each in found)) from None
    spec, validation = _resolve(root, parsed, find_samples)
    errors = [
        *_check_shapes(root, spec),
        *_check_update_size(root, spec),
        *_check_terms(root, parsed.terms),
    ]
    if errors:
        raise FieldErrors(*errors)
    return JobFile(spec, parsed.terms, validation)


def _resolve(
    root: Node, parsed: _JobFileModel, find_samples: FindSamples
) -> tuple[JobSpec, ValidationSet | None]:
    """Samples that the file points to become a set's content, and in the spec its CID."""
    fields, source = parsed.model_dump(exclude={"terms"}), parsed.data.validation
    if source is None or isinstance(source, str):
        return JobSpec.model_validate(fields), None
    try:
        validation = find_samples(source, parsed.data)
    except CommonwealError as error:
        raise FieldErrors(_point(root, ("data", "validation"), error.message)) from None
    if validation is None:
        fields["data"] |= {"validation": None, "share_validation": False}
    else:
        fields["data"]["validation"] = validation.cid
    return JobSpec.model_validate(fields), validation


def _point(root: Node, loc: tuple[str, ...], message: str) -> FieldError:
    return locate(root, {"loc": loc, "msg": message, "type": ""})


def _check_shapes(root: Node, spec: JobSpec) -> list[FieldError]:
    """What single fields cannot say: model and data must speak of the same thing."""
    errors = []
    if spec.model.classes != spec.data.classes:
        message = f"{spec.data.classes}, but model.classes is {spec.model.classes}"
        errors.append(_point(root, ("data", "classes"), message))
    features, inputs = 1, 1
    for each in spec.data.features:
        features *= each
    for each in spec.model.shape if spec.model.family == "cnn" else (spec.model.inputs,):
        inputs *= each
    if features != inputs:
        message = f"{features} values per sample, but the model takes {inputs}"
        errors.append(_point(root, ("data", "features"), message))
    return errors


def _check_update_size(root: Node, spec: JobSpec) -> list[FieldError]:
    """Else every honest update would be invalid, and its trainer slashed."""
    size, limit = update_size(spec), spec.limits.max_update_bytes
    if size <= limit:
        return []
    message = f"{limit}, but an update has up to {size} bytes"
    return [_point(root, ("limits", "max_update_bytes"), message)]


def _check_terms(root: Node, terms: Terms) -> list[FieldError]:
    errors = []

    def refuse(field: str, message: str) -> None:
        errors.append(_point(root, ("terms", field), message))

    if terms.validator_share_bps + terms.coordinator_share_bps > 10_000:
        refuse("validator_share_bps", "with coordinator_share_bps more than 10000")
    if terms.max_trainers < terms.min_trainers:
        refuse("max_trainers", f"{terms.max_trainers} is below min_trainers {terms.min_trainers}")
    need = terms.rounds * terms.price_per_round
    if terms.escrow is not None and terms.escrow < need:
        refuse("escrow", f"{terms.escrow} wei, rounds × price_per_round is {need} wei")
    return errors


def _refuse(name: str, errors: Sequence[FieldError]) -> InvalidJobFile:
    lines = [f"{name}:{each.line}: {each.field}: {each.message}" for each in errors]
    details = [{"line": each.line, "field": each.field, "message": each.message} for each in errors]
    return InvalidJobFile("\n".join(lines), errors=details)
