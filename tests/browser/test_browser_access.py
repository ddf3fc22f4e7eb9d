"""For everybody: keyboard alone, axe-core, small screens, dark and light. Leaves screenshots."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import CHECKOUT, DESK, PHONE, SCREENSHOTS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
AXE = CHECKOUT / "node_modules" / "axe-core" / "axe.min.js"
LOOKS = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {
        "viewport": PHONE,
        "color_scheme": "light",
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}
_FOCUSED = """() => {
  const e = document.activeElement;
  return { tag: e.tagName, key: e.dataset.key ?? "", text: (e.ariaLabel || e.textContent).trim() };
}"""


def paths(demo) -> dict[str, str]:
    member = max(demo.get("/v1/jobs/1/members")["items"], key=lambda each: int(each["earned"]))
    log = demo.get("/v1/jobs/1/log?limit=1")["items"][0]
    return {
        "network": "/",
        "jobs": "/jobs",
        "job": "/jobs/1",
        "round": "/jobs/1/rounds/1",
        "providers": "/providers",
        "provider": f"/providers/{member['provider']}",
        "content": f"/content/{demo.get('/v1/jobs/1')['spec']}",
        "transaction": f"/transactions/{log['tx']}/{log['block']}",
    }


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_and_nothing_overflows(demo, visit, look):
    seen = visit("/", **LOOKS[look])
    seen.page.emulate_media(reduced_motion="reduce")
    for name, path in paths(demo).items():
        seen.open(path)
        if name == "round":
            seen.page.get_by_role("button", name="Verify member").first.click()
        seen.page.wait_for_timeout(300)
        take_screenshot(seen.page, f"{name}-{look}.png")
        assert violations(seen.page) == [], name
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert seen.page.evaluate(wider) <= 0, name


def take_screenshot(page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / name, full_page=True)


def violations(page) -> list[str]:
    page.evaluate(Path(AXE).read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:300]}" for each in found]


def tab_to(page, wanted: str, most: int = 120):
    """Tab until the focus is on what is wanted (its data-key, or its text)."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        assert focused["text"], "the focus is on something without a name"
        if wanted in (focused["key"], focused["text"]):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"the focus on {wanted} cannot be seen"
            return
    raise AssertionError(f"no way to {wanted} by the keyboard")


def test_from_the_front_page_to_a_verified_proof_by_keyboard_alone(demo, visit):
    seen = visit("/")
    page = seen.page
    tab_to(page, "Skip to the content", most=1)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "job:1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/jobs/1")
    page.wait_for_selector("main[data-ready=true]")
    tab_to(page, "chart:Median score of verified updates")
    page.keyboard.press("ArrowLeft")
    assert "median score" in page.locator(".chart:focus .tip").inner_text()
    tab_to(page, "matrix")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/jobs/1/rounds/*")
    page.wait_for_selector("main[data-ready=true]")
    tab_to(page, "verify:0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "proof"
    assert page.locator(".proof").get_attribute("data-ok") == "true"


# Of each sign in the legend: which pixels are covered, and how much brightness varies within.
_SIGNS = """() => [...document.querySelectorAll(".legend li")].map((item) => {
  const { data } = item.querySelector("canvas").getContext("2d").getImageData(0, 0, 36, 36);
  const pixels = Array.from({ length: 36 * 36 }, (_, at) => data.slice(4 * at, 4 * at + 4));
  const light = pixels.filter((pixel) => pixel[3] > 250).map(([r, g, b]) => r + g + b);
  return [item.innerText.trim(), {
    shape: pixels.map((pixel) => (pixel[3] > 100 ? 1 : 0)).join(""),
    contrast: Math.max(...light) - Math.min(...light),
  }];
})"""


def test_verdicts_are_told_apart_without_colour(visit):
    """Each state covers other pixels, or has a sign of another brightness in the same box."""
    signs = dict(visit("/jobs/1").page.evaluate(_SIGNS))
    assert {"verified", "rejected", "invalid", "unavailable", "unrevealed"} <= set(signs)
    shapes = {sign["shape"] for name, sign in signs.items() if name != "invalid"}
    assert len(shapes) == len(signs) - 1
    assert signs["verified"]["contrast"] < 20
    assert signs["invalid"]["contrast"] > 200
