"""Keeping native libraries quiet: they write start-up messages to file descriptor 2, whatever Python is told."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_only_one = threading.RLock()  # or one thread would restore what another one has redirected


@contextmanager
def without_lines(noise: re.Pattern[bytes]) -> Iterator[None]:
    """Keeps back what the block writes to stderr, and afterwards shows it without the lines that match `noise`.

    If the block raises, all lines are shown.
    """
    with _only_one:
        yield from _without_lines(noise)


def _without_lines(noise: re.Pattern[bytes]) -> Iterator[None]:
    try:
        stderr = os.dup(2)
    except OSError:  # closed, so there is nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(stderr, 2)
            messages.seek(0)
            for line in messages:  # other threads may have written, too
                if failed or not noise.match(line):
                    os.write(stderr, line)
            os.close(stderr)
