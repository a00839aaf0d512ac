from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compressgan.cli.process import _interrupt, deferred_interrupts
from compressgan.errors import interrupted
from conftest import ROOT


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


@pytest.mark.usefixtures("usual_signals")
def test_ctrl_c_while_a_command_is_still_imported(tmp_path: Path) -> None:
    (tmp_path / "pathlib.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    scripts = sorted((ROOT / "src").glob("*.py"))
    assert len(scripts) == 8
    for script in scripts:
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        result = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
        assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, "", ""), script
