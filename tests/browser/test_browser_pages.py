"""Each page with real data: what it shows is what the chain holds."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
TOKEN = 10**18


def tokens(wei) -> str:
    """As the page writes amounts."""
    hundredths = int(wei) * 100 // TOKEN
    if int(wei) > 0 and hundredths == 0:
        return "< 0.01"
    return f"{hundredths // 100:,}.{hundredths % 100:02}"


def figure(page, label: str) -> str:
    box = page.locator(".figures > div", has=page.locator("dt", has_text=label))
    return box.first.locator(".value").inner_text()


def test_the_network(demo, visit):
    overview = demo.get("/v1/overview")
    seen = visit("/")
    assert figure(seen.page, "Providers") == str(overview["providers"]["registered"]) == "7"
    assert int(figure(seen.page, "Final rounds")) >= demo.rounds
    for kind in ("deposited", "earned", "claimed", "fees", "refunded"):
        row = seen.page.locator(".flow-list > div", has=seen.page.locator(f".swatch.{kind}"))
        assert tokens(overview["money"][kind]) in row.inner_text()
    seen.follow(seen.page.get_by_role("link", name="Job 1", exact=True))
    assert seen.page.url.endswith("#/jobs/1")


def test_a_job_and_its_curves(demo, visit):
    job, history = demo.get("/v1/jobs/1"), demo.get("/v1/jobs/1/history")
    claims = demo.get("/v1/jobs/1/claims")
    seen = visit("/jobs/1")
    assert seen.text("h1") == "Handwritten digits"
    assert figure(seen.page, "Final rounds") == f"{demo.rounds} / {demo.rounds}"
    assert figure(seen.page, "Verified updates") == str(sum(history["verified"]))
    assert figure(seen.page, "In escrow") == tokens(job["escrow"])
    assert [item["round"] for item in claims["items"]] == list(range(1, demo.rounds + 1))
    assert all(set(item["metrics"]) == {"loss", "accuracy"} for item in claims["items"])
    claimed = seen.page.locator("section", has_text="Learning, as claimed")
    assert "Nobody checks these figures" in claimed.inner_text()
    assert claimed.locator("path.line.claimed").count() == len(claims["items"][0]["metrics"])
    assert claimed.locator("circle.point").count() % demo.rounds == 0
    judged = seen.page.locator("section", has_text="Usefulness, as judged")
    assert "the chain holds no accuracy" in judged.inner_text()
    judged.locator(".chart").focus()
    seen.page.keyboard.press("Home")
    assert f"median score {history['median_score'][0]:,.0f}" in judged.inner_text()
    models = demo.get("/v1/jobs/1/models")["items"]
    lineage = seen.page.locator(".lineage li")
    assert lineage.count() == demo.rounds + 1
    titles = [
        lineage.nth(at).locator("a.hash").first.get_attribute("title") for at in range(demo.rounds)
    ]
    assert titles == [model["cid"] for model in reversed(models)]


def test_the_matrix_shows_each_verdict_and_opens_its_round(demo, visit):
    updates = demo.get("/v1/jobs/1/rounds/1/updates")["items"]
    seen = visit("/jobs/1")
    matrix = seen.page.locator(".matrix")
    matrix.focus()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("Home")
    said = seen.page.locator(".matrix-said")
    for update in updates:
        playwright_expects(said, f"Member {update['member']} ")
        text = said.inner_text()
        assert update["verdict"] in text
        assert f"score {update['score']}" in text
        seen.page.keyboard.press("ArrowDown")
    box = matrix.bounding_box()
    seen.page.mouse.move(box["x"] + 148 + 10, box["y"] + 26 + 10)
    tip = seen.page.locator(".matrix-box > .tip")
    assert tip.inner_text().startswith("Member 0 ")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_url("**/#/jobs/1/rounds/1")


def playwright_expects(locator, text):
    from playwright.sync_api import expect

    expect(locator).to_contain_text(text, timeout=20_000)


def test_a_round(demo, visit):
    facts = demo.get("/v1/jobs/1/rounds/2")
    updates = demo.get("/v1/jobs/1/rounds/2/updates")["items"]
    seen = visit("/jobs/1/rounds/2")
    assert seen.page.locator(".timeline li.done").count() == 6
    rows = seen.table("Updates").locator("tbody tr")
    assert rows.count() == len(updates)
    for at, update in enumerate(updates):
        text = rows.nth(at).inner_text()
        assert update["verdict"] in text
        assert f"{update['score']:,}" in text
    ballots = seen.table("Ballots").locator("tbody tr")
    assert ballots.count() == len(facts["committee"])
    for at, ballot in enumerate(facts["ballots"]):
        cells = ballots.nth(at).locator("td").all_inner_texts()
        shown = [cell.strip("()").replace(",", "") for cell in cells[2 : 2 + len(updates)]]
        assert shown == [str(score) for score in ballot["scores"]]
    assert facts["model"] in seen.page.locator(".fields").first.inner_text()


def test_each_figure_leads_to_its_transaction_and_content(demo, visit):
    seen = visit("/jobs/1/rounds/1")
    seen.follow(seen.page.locator(".timeline a").first)
    assert "Round opened" in seen.table("Events").inner_text()
    seen.open("/jobs/1/rounds/1")
    cid = demo.get("/v1/jobs/1/rounds/1/updates")["items"][0]["cid"]
    seen.follow(seen.page.locator(f'a[title="{cid}"]').first)
    said = seen.text("main")
    assert "Verified in your browser: these bytes are what the CID names." in said
    assert "kind update" in said
    assert "round 1" in said


def test_a_provider_and_why_it_was_paid(demo, visit):
    members = demo.get("/v1/jobs/1/members")["items"]
    best = max(members, key=lambda member: int(member["earned"]))
    worst = min(members, key=lambda member: int(member["earned"]))
    seen = visit(f"/providers/{best['provider']}")
    rewards = demo.get(f"/v1/providers/{best['provider']}/rewards")
    assert figure(seen.page, "Earned") == tokens(rewards["earned"])
    chart = seen.page.locator("section", has_text="Earnings over time")
    chart.locator(".chart").focus()
    seen.page.keyboard.press("End")
    assert f"{int(rewards['earned']) / TOKEN:.2f} in all" in chart.inner_text()
    seen.open(f"/providers/{worst['provider']}")
    record = seen.table("Latest updates").inner_text()
    assert "the committee found it of no use" in record


def test_all_providers(demo, visit):
    seen = visit("/providers")
    rows = seen.table("Providers").locator("tbody tr")
    assert rows.count() == 7
    owners = {provider["provider"] for provider in demo.get("/v1/providers")["items"]}
    assert {rows.nth(at).locator("a").get_attribute("title") for at in range(7)} == owners


def test_what_does_not_exist_is_said_so(visit):
    seen = visit("/jobs/99")
    assert "code: job-unknown" in seen.text("main")
    seen.open("/nowhere")
    assert "No such page" in seen.text("main")
    seen.complaints[:] = [each for each in seen.complaints if "404" not in each]
