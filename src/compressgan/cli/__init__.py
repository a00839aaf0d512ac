"""The command lines, one module per command."""

from compressgan.cli.process import run, run_command

__all__ = ["run", "run_command"]
