"""Timing of functions."""

from __future__ import annotations

import time
from collections.abc import Callable

REPEATS = 5  # the fastest one counts


def fastest(function: Callable[..., object], *arguments: object) -> float:
    """Returns the seconds of the fastest of `REPEATS` calls."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)
