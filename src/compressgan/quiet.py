"""Keeping native libraries quiet: they write to file descriptor 2, whatever Python is told."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_only_one = threading.RLock()  # or one thread would restore what another one has redirected


@contextmanager
def without_lines(noise: re.Pattern[bytes]) -> Iterator[list[bytes]]:
    """Keeps back what the block writes to stderr, and afterwards shows it without the lines that match `noise`.

    Yields:
        A list that holds these lines after the block. If the block raises, they are shown, too.
    """
    kept: list[bytes] = []
    with _only_one:
        try:
            stderr = os.dup(2)
        except OSError:  # closed, so there is nothing to keep quiet
            yield kept
            return
        try:
            messages = tempfile.TemporaryFile()  # noqa: SIM115, closed below
        except OSError:  # no folder for it, and messages are not worth failing for
            os.close(stderr)
            yield kept
            return
        with messages:
            os.dup2(messages.fileno(), 2)
            failed = True
            try:
                yield kept
                failed = False
            finally:
                os.dup2(stderr, 2)
                messages.seek(0)
                for line in messages:  # other threads may have written, too
                    if not failed and noise.match(line):
                        kept.append(line)
                    else:
                        os.write(stderr, line)
                os.close(stderr)
