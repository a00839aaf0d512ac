"""`python -m compressgan` is the command `compressgan`."""

from compressgan.cli.console import main

if __name__ == "__main__":
    main()
