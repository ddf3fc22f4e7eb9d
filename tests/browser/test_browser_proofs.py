"""What the page verifies by itself, and that it does not believe what was tampered with."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
GOOD = "Verified in your browser"
BAD = "Not verified"


def open_proof(seen, member: int):
    seen.page.get_by_role("button", name=f"Verify member {member}", exact=True).click()
    panel = seen.page.locator(".proof")
    panel.wait_for()
    return panel


def test_every_verdict_of_a_round_is_verified(demo, visit):
    updates = demo.get("/v1/jobs/1/rounds/1/updates")["items"]
    root = demo.get("/v1/jobs/1/rounds/1")["verdict_root"]
    seen = visit("/jobs/1/rounds/1")
    for update in updates:
        panel = open_proof(seen, update["member"])
        assert panel.get_attribute("data-ok") == "true"
        assert GOOD in panel.inner_text()
        assert panel.locator("ol li").count() == len(update["proof"]) + 2
        assert f"→ {root}" in panel.inner_text()


def test_a_changed_score_is_not_verified(visit):
    seen = visit("/jobs/1/rounds/1")
    panel = open_proof(seen, 0)
    seen.page.get_by_role("button", name="Change the score by one").click()
    assert panel.get_attribute("data-ok") == "false"
    assert BAD in panel.inner_text()
    seen.page.get_by_role("button", name="Undo the change").click()
    assert panel.get_attribute("data-ok") == "true"


@pytest.mark.parametrize("field", ["proof", "digest", "score", "member"])
def test_a_tampered_answer_is_not_verified(visit, field):
    """The coordinator itself lies: any field of the proof, changed on the wire."""
    seen = visit("/jobs")

    def lie(route):
        answer = route.fetch()
        body = answer.json()
        change(body["items"][1], field)
        route.fulfill(response=answer, body=json.dumps(body))

    seen.page.route("**/rounds/1/updates", lie)
    seen.open("/jobs/1/rounds/1")
    buttons = seen.page.get_by_role("button", name="Verify member")
    buttons.nth(1).click()
    panel = seen.page.locator(".proof")
    assert panel.get_attribute("data-ok") == "false"
    assert BAD in panel.inner_text()
    buttons.nth(0).click()
    assert seen.page.locator(".proof").get_attribute("data-ok") == "true"


def change(update, field: str) -> None:
    if field == "proof":
        update["proof"][0] = flip(update["proof"][0])
    elif field == "digest":
        update["digest"] = flip(update["digest"])
    else:
        update[field] += 1


def flip(word: str) -> str:
    return word[:-1] + ("0" if word[-1] != "0" else "1")


def test_content_is_hashed_before_it_is_believed(demo, visit):
    spec = demo.get("/v1/jobs/1")["spec"]
    seen = visit(f"/content/{spec}")
    panel = seen.page.locator(".proof")
    assert panel.get_attribute("data-ok") == "true"
    assert f"as a CID {spec}" in seen.text(".proof")
    assert "handwritten digits" in seen.text("main")
    seen.page.get_by_role("button", name="Change one bit").click()
    seen.page.locator('.proof[data-ok="false"]').wait_for()
    assert BAD in seen.text(".proof")


def test_other_bytes_under_the_same_cid_are_not_believed(demo, visit):
    job = demo.get("/v1/jobs/1")
    seen = visit("/providers")

    def swap(route):
        answer = route.fetch()
        name = b"handwritten digits"
        assert name in answer.body()
        route.fulfill(response=answer, body=answer.body().replace(name, b"handwritten-digits"))

    seen.page.route(f"**/ipfs/{job['spec']}*", swap)
    seen.open(f"/content/{job['spec']}")
    assert BAD in seen.text(".proof")
    seen.open("/jobs/1")
    assert seen.text("h1") == "Job 1"  # the name stands in bytes that are not the CID's
