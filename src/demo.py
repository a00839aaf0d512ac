"""Shows the codec on a page in the browser: the command line is `compressgan/cli/demo.py`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = map(str, Path(__file__).resolve().parents[:2])  # the folders of the package and of config.py
    from compressgan.cli import run_command

    run_command("demo")
