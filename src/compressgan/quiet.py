"""Keeping native libraries quiet: they write start-up messages to file descriptor 2, whatever Python is told."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_lines(noise: re.Pattern[bytes]) -> Iterator[None]:
    """Keeps back what the block writes to stderr, and afterwards shows it without the lines that match `noise`.

    If the block raises, all lines are shown.
    """
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
