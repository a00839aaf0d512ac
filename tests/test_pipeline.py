from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from compressgan.errors import interrupted
from compressgan.images import pipeline
from compressgan.images.pipeline import overlapped


def test_order_results_and_errors() -> None:
    def square(x: int) -> int:
        time.sleep(0.002 * (x % 3))
        if x == 4:
            raise ValueError("four")
        return x * x

    results = list(overlapped(range(10), (square, 3), (str, 2)))
    assert [item for item, _ in results] == list(range(10))
    assert [future.result() for item, future in results if item != 4] == [str(x * x) for x in range(10) if x != 4]
    with pytest.raises(ValueError, match="four"):
        results[4][1].result()


def test_stages_run_at_the_same_time() -> None:
    """Each stage waits until the other has begun. Run one after the other, they would wait forever."""
    barrier = threading.Barrier(2, timeout=20)

    def first(x: int) -> int:
        if x == 1:
            barrier.wait()
        return x

    def second(x: int) -> int:
        if x == 0:
            barrier.wait()
        return x

    assert [future.result() for _, future in overlapped(range(2), (first, 1), (second, 1))] == [0, 1]


def test_little_is_read_ahead() -> None:
    read = []
    results = overlapped(range(100), (read.append, 1))
    next(results)
    assert len(read) <= 5
    results.close()
    assert len(read) <= 5


def test_an_interrupt_ends_the_wait_for_a_long_job() -> None:
    """It is checked, not raised by a signal: an exception inside the wait could leave a future's lock behind."""
    future: Future[None] = Future()
    timers = [threading.Timer(0.2, interrupted.set), threading.Timer(10, future.set_result, (None,))]
    for timer in timers:
        timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            pipeline._finished((0, future))
        assert not future.done()
    finally:
        for timer in timers:
            timer.cancel()
        interrupted.clear()
