"""The page keeps up by itself, and says so when it cannot."""

from __future__ import annotations

import pytest
from conftest import CHECKOUT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def test_a_new_job_and_its_rounds_appear_without_a_reload(demo, visit, tmp_path):
    from playwright.sync_api import expect

    job_file = tmp_path / "live.yaml"
    text = (CHECKOUT / "examples" / "digits.yaml").read_text()
    for term, value in {"rounds": 2, "min_trainers": 7}.items():
        before = next(line for line in text.splitlines() if line.startswith(f"  {term}:"))
        text = text.replace(before, f"  {term}: {value}")
    job_file.write_text(text)
    seen, job_page = visit("/"), visit("/jobs")
    for each in (seen, job_page):
        each.page.evaluate("window.isTheSamePage = true")
    job = demo.submit(job_file)
    link = seen.page.get_by_role("link", name=f"Job {job}", exact=True)
    expect(link).to_be_visible(timeout=60_000)
    job_page.page.evaluate(f"location.hash = '#/jobs/{job}'")
    final = job_page.page.locator(".figures > div", has_text="Final rounds").locator(".value")
    expect(final).to_have_text("2 / 2", timeout=240_000)
    expect(job_page.page.locator(".title .badge")).to_have_text("completed", timeout=60_000)
    expect(job_page.page.locator(".lineage li")).to_have_count(3, timeout=30_000)
    assert "Live" in job_page.text("#pulse")
    for each in (seen, job_page):
        assert each.page.evaluate("window.isTheSamePage")


def test_a_silent_coordinator_is_noticed_and_so_is_its_return(visit):
    from playwright.sync_api import expect

    seen = visit("/")
    notice = seen.page.locator("#notice")
    expect(notice).to_be_hidden()
    seen.page.route("**/v1/**", lambda route: route.abort())
    seen.page.evaluate("location.hash = '#/providers'")
    expect(notice).to_contain_text("The coordinator does not answer")
    seen.page.unroute("**/v1/**")
    expect(notice).to_be_hidden(timeout=20_000)
    expect(seen.table("Providers")).to_be_visible()
    seen.complaints[:] = [each for each in seen.complaints if "ERR_FAILED" not in each]
