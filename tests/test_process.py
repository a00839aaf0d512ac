from __future__ import annotations

import signal

import pytest

from compressgan.cli.process import _interrupt, deferred_interrupts
from compressgan.errors import interrupted


def test_interrupts_wait_where_threads_are_waited_for_but_not_the_second_one() -> None:
    try:
        reached = []
        with pytest.raises(KeyboardInterrupt), deferred_interrupts():
            _interrupt(signal.SIGTERM, None)
            assert interrupted.is_set()
            reached.append("the end")
        assert reached
        with pytest.raises(KeyboardInterrupt), deferred_interrupts():
            _interrupt(signal.SIGTERM, None)
            pytest.fail("the second one waited, too")
        interrupted.clear()
        with pytest.raises(KeyboardInterrupt):
            _interrupt(signal.SIGTERM, None)
    finally:
        interrupted.clear()
