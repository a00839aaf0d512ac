"""Opens a page in the browser: drop a photo to see what becomes of it, or a .bin file to see it.

python src/demo.py
python src/demo.py -r checkpoints/mine --port 8000
python src/demo.py --host 0.0.0.0 --no-browser    # for other machines, too

Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import threading

from compressgan.cli.options import (
    add_checkpoint_option,
    add_effort_option,
    add_memory_options,
    load_codec,
    make_parser,
    number,
    require_extra,
)
from compressgan.cli.project import Project
from compressgan.errors import CompressGANError


def main(project: Project) -> int:
    parser = make_parser(__doc__)
    add_checkpoint_option(parser, project.default_checkpoint)
    add_effort_option(parser, project.effort)
    add_memory_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s, this machine")
    parser.add_argument(
        "--port", type=number(int, 1, 65535, "whole number from 1 to 65535"), help="default: the first free from 7860"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return demo(parser.parse_args())


def demo(arguments: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C, and returns the exit code."""
    require_extra("demo", "gradio")
    from compressgan.demo import build_page

    page = build_page(load_codec(arguments))
    try:
        _, address, _ = page.launch(
            server_name=arguments.host,
            server_port=arguments.port,
            inbrowser=not arguments.no_browser,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            ssr_mode=False,
            state_session_capacity=20,  # visitors whose photos are kept in memory
        )
    except (OSError, ValueError):  # of Gradio, which names its own options
        raise CompressGANError(f"cannot listen on {arguments.host}, port {arguments.port or 'from 7860 on'}") from None
    print(f"the demo runs at {address}; Ctrl-C ends it", flush=True)
    threading.Event().wait()
    return 0
