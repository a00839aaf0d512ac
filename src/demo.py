"""Shows the codec on a page in the browser: the command line is `compressgan/cli/demo.py`."""

import signal
import sys

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C shows no traceback before `run_command` handles it
    from pathlib import Path

    sys.path[:0] = map(str, Path(__file__).resolve().parents[:2])  # the folders of the package and of config.py
    from compressgan.cli import run_command

    run_command("demo")
