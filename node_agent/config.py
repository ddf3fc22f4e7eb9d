"""The node's configuration file: YAML in, checked values out; errors name file, line and field.

No passwords, only the files that hold them. Relative paths start at the file's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError, model_validator
from yaml.reader import ReaderError

from commonweal.jobfile import AddressField, Amount
from commonweal.learning.data import DataSource
from commonweal.protocol.types import Role
from node_agent.errors import ConfigInvalid

Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$")]
WebSocketUrl = Annotated[str, Field(pattern=r"^wss?://[^\s/]+(/[^\s]*)?$")]
Hex32 = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$")]
RoleName = Literal["trainer", "validator"]
Family = Literal["logistic", "mlp", "cnn"]
FAMILIES: tuple[Family, ...] = get_args(Family)
Hour = Annotated[int, Field(ge=0, le=23)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


def _show_wei(amount: int | None) -> str | None:
    return None if amount is None else f"{amount} wei"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Keys(_Section):
    operator: Path = Path("operator.json")
    operator_password: Path = Path("operator.password")
    owner: Path | None = None
    owner_password: Path | None = None


class Content(_Section):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="0 = any free one")] = 0
    public_url: Annotated[Url | None, Field(description="what others reach it by")] = None
    max_bytes: Annotated[int | None, Field(gt=0)] = None
    kubo: Annotated[
        Url | None, Field(description="RPC address of an IPFS daemon that keeps the content")
    ] = None
    gateways: Annotated[tuple[Url, ...], Field(description="further IPFS gateways to read")] = ()

    @model_validator(mode="after")
    def _check_store(self) -> Content:
        if self.kubo is not None and self.max_bytes is not None:
            raise ValueError("max_bytes is for the node's own store: a Kubo daemon has its limit")
        return self


class JobPolicy(_Section):
    allow: Literal["all"] | tuple[Annotated[int, Field(ge=1)], ...] = "all"
    stake_per_job: Annotated[
        Amount | None, PlainSerializer(_show_wei), Field(description="if a job asks for less")
    ] = None
    max_stake_per_job: Annotated[
        Amount | None,
        PlainSerializer(_show_wei),
        Field(description="jobs that ask for more are not joined; default: half of all stake"),
    ] = None
    max_parameters: Annotated[int, Field(gt=0, description="of a model to work on")] = 50_000_000
    max_memory_mib: Annotated[
        int | None,
        Field(gt=0, description="that a model may take to train and judge, by estimate"),
    ] = None
    families: Annotated[
        tuple[Family, ...], Field(description="of models to work on; default: all")
    ] = FAMILIES
    requesters: Annotated[
        tuple[AddressField, ...], Field(description="to work for; default: all")
    ] = ()
    min_pay_per_round: Annotated[
        Amount | None,
        PlainSerializer(_show_wei),
        Field(description="of a trainer, when all places are taken"),
    ] = None
    hours: Annotated[
        tuple[Hour, Hour] | None,
        Field(description="UTC, from and until, in which jobs are joined; their work goes on"),
    ] = None
    allowlist_proofs: Annotated[
        dict[Hex32, tuple[Hex32, ...]], Field(description="by the job's allowlist root")
    ] = {}

    @model_validator(mode="after")
    def _check_stakes(self) -> JobPolicy:
        if (self.stake_per_job or 0) > (self.max_stake_per_job or self.stake_per_job or 0):
            raise ValueError("stake_per_job is above max_stake_per_job")
        if self.hours is not None and self.hours[0] == self.hours[1]:
            raise ValueError("hours from and until the same hour: leave them out for all day")
        return self

    def allows(self, job: int) -> bool:
        return self.allow == "all" or job in self.allow


class Gpu(_Section):
    share: Annotated[
        float, Field(ge=0, le=1, description="of its memory that the node may take; 0: no GPU")
    ] = 1.0


class Timing(_Section):
    poll_interval: Annotated[float, Field(gt=0, le=60)] = 0.1
    relay_patience: Annotated[
        Seconds, Field(description="how long a relay may take before the node sends by itself")
    ] = 5.0
    keeper_patience: Annotated[
        Seconds, Field(description="how long a due transition is left to the coordinator")
    ] = 5.0
    keeper_stagger: Annotated[
        Seconds, Field(description="further delay per place in the order of members")
    ] = 0.5


class NodeConfig(_Section):
    rpc_url: Annotated[
        Url | Annotated[tuple[Url, ...], Field(min_length=1)],
        Field(description="several: the first that answers"),
    ]
    heads_url: Annotated[
        WebSocketUrl | None,
        Field(description="WebSocket of the same chain: new blocks are told, not only asked for"),
    ] = None
    deployment: Path
    data_dir: Path = Path(".")
    coordinator: tuple[Url, ...] = ()
    provider: Annotated[
        str | None, Field(pattern=r"^0x[0-9a-fA-F]{40}$", description="the owner's address")
    ] = None
    keys: Keys = Keys()
    roles: Annotated[tuple[RoleName, ...], Field(min_length=1)] = ("trainer", "validator")
    data: DataSource
    content: Content = Content()
    jobs: JobPolicy = JobPolicy()
    gpu: Gpu = Gpu()
    timing: Timing = Timing()
    declared: Annotated[
        dict[str, str], Field(description="shown in the capabilities as self-declared")
    ] = {}

    @property
    def role_set(self) -> Role:
        roles = Role(0)
        for name in self.roles:
            roles |= Role[name.upper()]
        return roles

    @property
    def endpoint_file(self) -> Path:
        return self.data_dir / "endpoint"


class _Loader(yaml.SafeLoader):
    """Names the line of a value that is not what its tag says, as 2020-13-45 is no timestamp."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            problem = f"{node.value!r} is no {node.tag.rpartition(':')[2]}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error


def load_config(path: Path) -> NodeConfig:
    """Raises ConfigInvalid for whatever is wrong with the file."""
    document, tree = _parse(path, _read(path))
    if not isinstance(document, dict):
        raise ConfigInvalid(f"{path}: expected a map of settings", file=str(path), line=1)
    try:
        config = NodeConfig.model_validate(document)
    except ValidationError as error:
        raise _field_error(path, tree, error) from error
    return _resolve(config, path.resolve().parent)


def save_config(config: NodeConfig, path: Path) -> None:
    document = config.model_dump(mode="json", exclude_defaults=True)
    document["data"] = config.data.model_dump(mode="json")  # with `kind`, though it is a default
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} cannot be read: {error}", file=str(path)) from error


def _parse(path: Path, text: str) -> tuple[Any, yaml.Node | None]:
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        return yaml.load(text, Loader=_Loader), tree  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(path, error) from error
    except ReaderError as error:
        raise _character_error(path, text, error) from error


def _syntax_error(path: Path, error: yaml.MarkedYAMLError) -> ConfigInvalid:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message = f"{path}:{line}:{column}: {error.problem or 'not YAML'}"
    return ConfigInvalid(message, file=str(path), line=line, column=column)


def _character_error(path: Path, text: str, error: ReaderError) -> ConfigInvalid:
    line = text.count("\n", 0, error.position) + 1
    message = f"{path}:{line}: character {error.character:#06x} cannot be in YAML"
    return ConfigInvalid(message, file=str(path), line=line)


def _field_error(path: Path, tree: yaml.Node | None, error: ValidationError) -> ConfigInvalid:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    first = problems[0]
    line, column, names = _locate(tree, first["loc"])
    field = ".".join(names)
    message = f"{path}:{line}:{column}: {field}: {first['msg']}"
    if len(problems) > 1:
        message += f" (and {len(problems) - 1} more)"
    return ConfigInvalid(
        message, file=str(path), line=line, column=column, field=field, problems=len(problems)
    )


def _locate(tree: yaml.Node | None, loc: tuple[int | str, ...]) -> tuple[int, int, list[str]]:
    """Line and column of the deepest node on the way, less the steps pydantic adds for unions."""
    names: list[str] = []
    node, mark = tree, tree.start_mark if tree else None
    for step in loc:
        found = _child(node, step)
        if found is None:
            continue
        key, node = found
        mark = key.start_mark
        names.append(str(step))
    if isinstance(loc[-1], str) and (not names or names[-1] != loc[-1]) and loc[-1].isidentifier():
        names.append(loc[-1])
    return (mark.line + 1, mark.column + 1, names) if mark else (1, 1, names)


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _resolve(config: NodeConfig, folder: Path) -> NodeConfig:
    keys = {name: folder / value if value else None for name, value in config.keys}
    changes: dict[str, Any] = {
        "deployment": folder / config.deployment,
        "data_dir": folder / config.data_dir,
        "keys": config.keys.model_copy(update=keys),
    }
    files = {name: folder / value for name, value in config.data if isinstance(value, Path)}
    changes["data"] = config.data.model_copy(update=files)
    return config.model_copy(update=changes)
