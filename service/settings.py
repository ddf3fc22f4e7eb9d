"""What an operator decides: options, WEAL_COORDINATOR_* variables or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from commonweal.errors import InvalidInput

_HTTP_PORT = 80


class InvalidSettings(InvalidInput):
    code = "invalid-settings"


def _split(value: Any) -> Any:
    return tuple(value.split()) if isinstance(value, str) else value


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="WEAL_COORDINATOR_", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    rpc_url: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(min_length=1, description="several, separated by spaces: the first that answers"),
    ] = ("http://127.0.0.1:8545",)
    heads_url: Annotated[
        str | None,
        Field(
            pattern=r"^wss?://[^\s/]+(/[^\s]*)?$",
            description="WebSocket of the same chain: new blocks are told, not only asked for",
        ),
    ] = None
    deployment: Path = Path("deployment.json")
    data_dir: Path = Path("coordinator")
    database_url: Annotated[str, Field(description="empty: coordinator.db in data_dir")] = ""
    keystore: Path = Path("coordinator.json")
    password_file: Path = Path("coordinator.password")
    more_keystores: Annotated[
        tuple[Path, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(description="keys that share the sending, opened by the same password"),
    ] = ()
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="0 takes a free one")] = 8750
    lag_patience: Annotated[
        float, Field(ge=0, le=600, description="seconds that a head may fall back, for nodes lag")
    ] = 5.0
    requests_per_second: Annotated[
        float, Field(gt=0, description="of one address or API key, in the long run")
    ] = 200.0
    request_burst: Annotated[int, Field(ge=1, description="requests of one at once")] = 2_000
    api_keys: Annotated[
        Path | None, Field(description="file of names and SHA-256 hashes of their keys")
    ] = None
    hosts: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(description="names, with ports, in the URLs that others dial; separated by spaces"),
    ] = ()
    least_holding: Annotated[
        int, Field(ge=0, description="wei of the token that let strangers sign in")
    ] = 10**18
    offers_per_hour: Annotated[
        int, Field(ge=1, description="of one requester, at this coordinator's cost")
    ] = 60
    upload_bytes: Annotated[
        int, Field(gt=0, description="of one identity at once; again in `content_grace`")
    ] = 2 * 2**30
    upload_seconds: Annotated[
        float, Field(gt=0, le=600, description="in which a block has to arrive")
    ] = 60.0
    ready_lag: Annotated[
        int, Field(ge=0, description="unread blocks above which /ready says no")
    ] = 64
    finality: Annotated[int, Field(ge=0, le=10_000, description="blocks until trusted")] = 12
    poll_interval: Annotated[float, Field(gt=0, le=60, description="seconds")] = 0.1
    relay_delay: Annotated[float, Field(ge=0, le=60, description="seconds")] = 0.3
    min_coordinator_share_bps: Annotated[
        int, Field(ge=0, le=10_000, description="jobs that pay less are not relayed")
    ] = 0
    replace_after: Annotated[
        float,
        Field(gt=0, le=3600, description="seconds until fees of what is not mined are raised"),
    ] = 15.0
    content_bytes: Annotated[int, Field(gt=0, description="quota of the store")] = 10 * 2**30
    content_reserve: Annotated[
        int, Field(ge=0, description="bytes of its disk that uploads leave free")
    ] = 256 * 2**20
    content_grace: Annotated[
        float, Field(ge=0, description="seconds that uploads the chain does not name are safe")
    ] = 3600.0
    followers: Annotated[
        int, Field(ge=0, le=100_000, description="readers of job streams at once; of changes too")
    ] = 256
    log_format: Literal["json", "console"] = "json"

    @property
    def own_hosts(self) -> frozenset[str]:
        """What may stand in a URL that leads here."""
        listening = (self.host, "127.0.0.1", "localhost", "::1")
        return frozenset((*self.hosts, *(_name_host(host, self.port) for host in listening)))

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'coordinator.db'}"


def _name_host(host: str, port: int) -> str:
    """As URLs have it: without the port that goes without saying."""
    name = f"[{host}]" if ":" in host else host.lower()
    return name if port == _HTTP_PORT else f"{name}:{port}"


def load_settings(config: Path | None, options: dict[str, Any]) -> Settings:
    """Options win over the file, the file over the environment. Raises InvalidSettings."""
    values = _read_config(config) if config else {}
    values |= {name: value for name, value in options.items() if value not in (None, [])}
    try:
        return Settings(**values)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise InvalidSettings("; ".join(problems), problems=problems) from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InvalidSettings(f"{path} cannot be read: {error}", path=str(path)) from error
    if not isinstance(document, dict):
        raise InvalidSettings(f"{path} is not a map of settings", path=str(path))
    return document
