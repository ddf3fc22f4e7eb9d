"""A new user follows README and guides to the letter; what is not run here has its reason.

WEAL_TEST_DEMO names the folder of a network that runs already (`weal demo --keep --data-dir …`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from newuser import ROOT, NewUser, read_lines, strip_comment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
WEAL = Path(sys.executable).with_name("weal")
FOLLOWED = ["README.md", "docs/guides/operator.md", "docs/guides/requester.md"]

NOT_RUN = {
    r"make .*": "installs into the clone, or is what runs this test",
    r"\. \.venv/bin/activate": "the environment is that of the test",
    r"pip install commonweal": "tests/integration/test_packaging.py installs into an empty one",
    r"weal dev": "runs until Ctrl-C; its parts are those of the demo",
    r"weal demo --keep": "the network that this test stands on",
    r"weal stop --data-dir .*": "ends that network, as the fixture does",
    r"weal keystore new deployer\.json": "the same command with another name is run",
    r"weal deploy .*": "tests/integration/test_contracts_deployment.py deploys",
    r"weal-coordinator run .*": "the network's coordinator is run so",
    r"(pg_dump|createdb|sqlite3) .*": "tests/unit/service/test_backup.py backs up and restores",
}
OTHER_STATUS = {
    r"weal-node earnings .*--job 1\b.*": (3, "not-a-member"),  # it came after that job
    r"weal-node withdraw .*": (5, "contract-reverted"),  # the unbonding period is not over
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo's network, left running after a round."""
    if running := os.environ.get("WEAL_TEST_DEMO"):
        yield Path(running)
        return
    folder = tmp_path_factory.mktemp("network")
    demo = [str(WEAL), "demo", "--rounds", "1", "--seed", "0", "--keep", "--data-dir", str(folder)]
    try:
        subprocess.run(demo, capture_output=True, timeout=600, check=False)
        yield folder
    finally:
        subprocess.run([str(WEAL), "stop", "--data-dir", str(folder)], timeout=60, check=False)


def make_user(network: Path, folder: Path) -> NewUser:
    addresses = json.loads((network / "network.json").read_text())["addresses"]
    funded = network / "keys" / "deployer.json"
    rpc, url = addresses["rpc"], addresses["coordinator"]
    user = NewUser(folder, rpc, url, network / "deployment.json", funded)
    user.environment = {
        "WEAL_RPC": rpc, "WEAL_URL": url, "WEAL_DEPLOYMENT": "deployment.json",
    }  # fmt: skip
    return user


def find(table: dict[str, Any], line: str) -> Any:
    return next((value for key, value in table.items() if re.fullmatch(key, line)), None)


@pytest.fixture
def user(network: Path, tmp_path: Path) -> Iterator[NewUser]:
    user = make_user(network, tmp_path)
    yield user
    user.leave()


@pytest.mark.parametrize("page", FOLLOWED)
def test_a_page_is_followed_to_its_end(page: str, user: NewUser) -> None:
    if page == "README.md":
        user.environment = {}  # all is said in the commands
    lines = [strip_comment(line) for line in read_lines(ROOT / page)]
    followed = [line for line in lines if not find(NOT_RUN, line)]
    for line in followed:
        status, output = user.run(line)
        wanted, text = find(OTHER_STATUS, line) or (0, "")
        assert (status, text in output) == (wanted, True), f"{page}: {line}\n{output[-2000:]}"
    assert user.leave() == [0] * sum("weal-node run" in line for line in followed)
    assert len(followed) > 8


def test_every_block_of_every_page_is_followed_or_has_its_reason() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    others = [page for page in pages if str(page.relative_to(ROOT)) not in FOLLOWED]
    lines = {strip_comment(line) for page in others for line in read_lines(page)}
    assert {line for line in lines if not find(NOT_RUN, line)} == set()


def test_every_reason_is_still_needed() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    lines = {strip_comment(line) for page in pages for line in read_lines(page)}
    for pattern in (*NOT_RUN, *OTHER_STATUS):
        assert any(re.fullmatch(pattern, line) for line in lines), pattern
