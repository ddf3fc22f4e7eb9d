"""A history of 1,000 trainers × 500 rounds: what is fetched, and that any cell can be reached.

How long it takes is measured in bench.page; what crosses the wire does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import playwright

from bench.page.__main__ import start
from bench.page.browser import measure_load
from commonweal.devnet.network import Network

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
TRAINERS, ROUNDS = 1_000, 500
MOST_BYTES = 500_000


@pytest.fixture(scope="module")
def pages(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with Network(tmp_path_factory.mktemp("history"), plans=()) as network:
        yield start(network, TRAINERS, ROUNDS)


@pytest.mark.parametrize("name", ["network", "job", "round", "providers"])
def test_a_first_load_stays_below_500_kilobytes(browser, pages, name):
    load = measure_load(browser, pages[name])
    assert 30_000 < load.wire_bytes <= MOST_BYTES


def test_any_cell_of_the_matrix_is_reached_by_keyboard(browser, pages):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(pages["job"])
    page.wait_for_selector("main[data-ready=true]", timeout=60_000)
    page.locator(".matrix").focus()
    for key in ("ArrowDown", "Home", "PageDown", "ArrowRight"):
        page.keyboard.press(key)
    said = page.locator(".matrix-said")
    playwright.expect(said).not_to_contain_text("loading", timeout=60_000)
    assert "Member 10 " in said.inner_text()
    assert "round 2:" in said.inner_text()
    nodes = page.evaluate("document.querySelectorAll('*').length")
    assert nodes < 10_000  # the tables' rows; 500,000 cells, and none of them an element
    page.close()
