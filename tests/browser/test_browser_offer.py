"""Offering a job from a browser wallet: what it signs, and what is said when it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import CHECKOUT, DESK, PHONE, Demo, Watched
from eth_account.messages import encode_typed_data
from test_browser_access import take_screenshot, violations

from commonweal.adapters.keystore import load_account, read_password

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
EXAMPLE = (CHECKOUT / "examples" / "digits.yaml").read_text()
# Nobody has so much to stake: the job waits, and the network stands still for the other tests.
JOB_FILE = EXAMPLE.replace("min_stake: 100", "min_stake: 5000").replace(
    "recruit_for: 2m", "recruit_for: 1d"
)
_INJECTED = """window.ethereum = { request: ({ method, params }) =>
  window.wallet(method, JSON.stringify(params ?? [])).then((answer) => {
    const { result, error } = JSON.parse(answer);
    if (error) throw error;
    return result;
  }) };"""


class Wallet:
    """Signs whatever it is shown with the demo requester's key, or declines."""

    def __init__(self, demo: Demo) -> None:
        keys = demo.folder / "keys"
        password = read_password(keys / "requester.password")
        self.account = load_account(keys / "requester.json", password)
        self.chain_id = int(demo.get("/v1/network")["chain_id"])
        self.shown: list[dict[str, Any]] = []
        self.declines: str | None = None

    def answer(self, method: str, params: str) -> str:
        if method == "eth_requestAccounts":
            return json.dumps({"result": [self.account.address]})
        if method == "eth_chainId":
            return json.dumps({"result": hex(self.chain_id)})
        assert method == "eth_signTypedData_v4", method
        account, text = json.loads(params)
        assert account == self.account.address
        document = json.loads(text)
        self.shown.append(document)
        if document["primaryType"] == self.declines:
            return json.dumps({"error": {"code": 4001, "message": "User rejected"}})
        signed = self.account.sign_message(encode_typed_data(full_message=document))
        return json.dumps({"result": "0x" + bytes(signed.signature).hex()})


@pytest.fixture
def wallet(demo: Demo) -> Wallet:
    return Wallet(demo)


def open_form(visit: Callable[..., Watched], wallet: Wallet, **look: Any) -> Watched:
    seen = visit("/jobs", **look)
    seen.page.expose_function("wallet", wallet.answer)
    seen.page.add_init_script(_INJECTED)
    seen.page.reload()
    seen.open("/jobs/new")
    return seen


def test_a_job_is_offered_with_three_signatures_and_no_keystore(demo, visit, wallet):
    seen = open_form(visit, wallet)
    page = seen.page
    page.get_by_label("Job file").fill(JOB_FILE)
    page.get_by_role("button", name="Connect wallet and review").click()
    page.get_by_role("button", name="Sign and offer").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Sign and offer"
    assert violations(page) == []
    take_screenshot(page, "offer-light.png")
    page.get_by_role("button", name="Sign and offer").click()
    page.wait_for_url(re.compile(r"#/jobs/\d+$"), timeout=60_000)
    number = int(page.url.rsplit("/", 1)[1])
    job = demo.get(f"/v1/jobs/{number}")
    assert job["requester"] == wallet.account.address
    kinds = [document["primaryType"] for document in wallet.shown]
    assert kinds == ["SignIn", "Permit", "JobOffer"]
    assert wallet.shown[1]["message"]["value"] == job["deposit"]


@pytest.mark.parametrize("look", [{"viewport": DESK, "color_scheme": "dark"}, {"viewport": PHONE}])
def test_what_goes_wrong_is_said_beside_the_button(demo, visit, wallet, look):
    seen = open_form(visit, wallet, **look)
    page = seen.page
    page.get_by_label("Job file").fill(JOB_FILE.replace("rounds:", "rouns:"))
    page.get_by_role("button", name="Connect wallet and review").click()
    page.get_by_text("invalid-job-file").wait_for()
    assert "rouns" in seen.text(".problem")
    seen.complaints.clear()  # the browser notes the refusal, too
    wallet.declines = "Permit"
    page.get_by_label("Job file").fill(JOB_FILE)
    page.get_by_role("button", name="Connect wallet and review").click()
    before = demo.get("/v1/jobs")["items"]
    page.get_by_role("button", name="Sign and offer").click()
    page.get_by_text("You declined in the wallet").wait_for()
    assert violations(page) == []
    assert demo.get("/v1/jobs")["items"] == before


def test_without_a_wallet_the_command_is_named(visit):
    seen = visit("/jobs/new")
    assert "weal job submit" in seen.text(".empty")
