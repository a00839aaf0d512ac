"""Working on many files, with reading, computing and writing at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from compressgan.errors import interrupted

_IN_PROGRESS = 4  # items at once, which bounds the memory


def overlapped(items: Iterable[Any], *stages: tuple[Callable[[Any], Any], int]) -> Iterator[tuple[Any, Future]]:
    """Sends each item through all stages. Each stage has its own threads.

    Args:
        items: the arguments of the first stage. Each further stage gets the result of the one before.
        stages: a function and its number of threads.

    Yields:
        The items in their order, each with its finished future: either the last stage's result or the first exception.

    Raises:
        KeyboardInterrupt: `errors.interrupted` is set.
    """
    pools = [ThreadPoolExecutor(threads) for _, threads in stages]
    waiting: deque[tuple[Any, Future]] = deque()
    try:
        for item in items:
            future = pools[0].submit(stages[0][0], item)
            for pool, (function, _) in zip(pools[1:], stages[1:], strict=True):
                future = pool.submit(lambda before, function: function(before.result()), future, function)
            waiting.append((item, future))
            if len(waiting) == _IN_PROGRESS:
                yield _finished(waiting.popleft())
        while waiting:
            yield _finished(waiting.popleft())
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _finished(job: tuple[Any, Future]) -> tuple[Any, Future]:
    done = None
    while not done:
        done = wait([job[1]], timeout=0.1).done
        if interrupted.is_set():
            raise KeyboardInterrupt
    return job
