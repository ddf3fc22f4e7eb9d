"""Few threads wait for the chain, so that bogus messages cannot take all of them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from service.ticks import Ticks


def test_whoever_finds_no_place_is_answered_at_once_and_places_come_back() -> None:
    ticks = Ticks(most_waiting=2)
    refused, is_there = threading.Semaphore(0), threading.Event()

    def wait() -> bool:
        found = ticks.wait(60, is_there.is_set)
        if not found:
            refused.release()
        return found

    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(wait) for _ in range(5)]
        for _ in range(3):
            assert refused.acquire(timeout=30)
        assert sum(answer.done() for answer in answers) <= 3
        is_there.set()
        ticks.note()
        assert sorted(answer.result() for answer in answers) == [False] * 3 + [True] * 2
    assert [ticks.wait(0, lambda: False) for _ in range(3)] == [False] * 3
    ticks.stop()
    assert ticks.wait(60, lambda: False) is False


def test_what_is_waited_for_may_take_several_looks() -> None:
    ticks, seen = Ticks(), 0
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ticks.wait, 60, lambda: seen >= 5)
        while not answer.done():
            seen += 1
            ticks.note()
            time.sleep(0.02)
        assert answer.result() is True
    assert seen >= 5


def test_what_never_comes_is_waited_for_until_the_time_is_over() -> None:
    ticks = Ticks()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ticks.wait, 0.5, lambda: False)
        while not answer.done():
            ticks.note()
            time.sleep(0.01)
        assert answer.result() is False
