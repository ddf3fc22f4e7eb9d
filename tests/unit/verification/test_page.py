"""The report as a page: what it says, that it needs nothing else, and that it escapes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from honest_job import alter, flip, make_honest_job

import commonweal.verification as package
from commonweal.protocol import events as ev
from commonweal.verification import Report, verify
from commonweal.verification.page import MOST_BROKEN, render_page
from commonweal.verification.words import WHAT_HOLDS


class Reader(HTMLParser):
    """Text, and every tag with its attributes; complains of what is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.open = "", [], []  # type: ignore[var-annotated]
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(report: Report) -> Reader:
    return Reader(render_page(report, "the logs of http://chain", "2026-01-02 03:04:05"))


@pytest.fixture(scope="module")
def honest() -> Report:
    job = make_honest_job()
    return verify(job.evidence(), job.content)


@pytest.fixture(scope="module")
def tampered() -> Report:
    job = make_honest_job()
    evidence = job.evidence()
    scores = next(e.scores for e in evidence.events if isinstance(e, ev.RoundTallied))
    return verify(alter(evidence, ev.RoundTallied, 1, scores=flip(scores, 1)), job.content)


def test_a_verified_job_says_so_with_every_check_and_model(honest: Report) -> None:
    page = read(honest)
    assert f"Verified: all {len(honest.checks):,} checks hold." in page.text
    assert "NOT" not in page.text
    for name in honest.counts():
        assert WHAT_HOLDS[name] in page.text
    for cid in honest.models.values():
        assert cid in page.text
    assert "2026-01-02 03:04:05" in page.text
    assert "the logs of http://chain" in page.text


def test_a_broken_link_comes_first_with_both_values(tampered: Report) -> None:
    page, first = read(tampered), tampered.first_broken
    assert first is not None
    assert f"NOT verified. First broken link: {first}" in page.text
    assert str(first.expected) in page.text
    assert str(first.found) in page.text


def test_it_asks_no_host_and_runs_nothing(honest: Report) -> None:
    loading = {"script", "link", "img", "iframe", "object", "embed", "form", "a"}
    page = read(honest)
    assert loading.isdisjoint(tag for tag, _ in page.tags)
    assert not any({"src", "href", "style"} & set(attributes) for _, attributes in page.tags)
    assert "url(" not in render_page(honest, "x", "y")
    assert "@import" not in render_page(honest, "x", "y")


def test_what_strangers_wrote_stays_text() -> None:
    report = Report(1, 2, left_out=["<script>left</script>"])
    report.require("payments", "<b>", False, "<img src=x onerror=alert(1)>")
    report.expect("seed", "s", "<i>", '"><script>')
    page = read(report)
    assert {"script", "b", "img", "i"}.isdisjoint(tag for tag, _ in page.tags)
    for text in ("<script>left</script>", "<img src=x onerror=alert(1)>", '"><script>'):
        assert text in page.text


def test_broken_links_beyond_a_number_are_counted_only() -> None:
    report = Report(1, 2)
    for at in range(MOST_BROKEN + 7):
        report.require("payment", f"member {at}", False, "wrong")
    text = read(report).text
    assert "And 7 more." in text
    assert f"member {MOST_BROKEN}" not in text


def test_every_check_that_is_made_has_its_words() -> None:
    sources = "".join(path.read_text() for path in Path(str(package.__file__)).parent.glob("*.py"))
    made = re.findall(r"(?:expect|require|_fetch_manifest)\(\s*\"([a-z-]+)\"", sources)
    assert set(made) <= set(WHAT_HOLDS)
    assert len(set(made)) > 40
