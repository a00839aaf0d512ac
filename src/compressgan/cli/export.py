"""Writes codec.tflite, so that a checkpoint can be used without TensorFlow.

python src/export.py -r checkpoints/mine            # train.py does the same once a run is done
python src/export.py -r checkpoints/mine --browser docs/decoder/model    # for the page in the browser
"""

from __future__ import annotations

from pathlib import Path

from compressgan.cli.options import make_parser, require_extra
from compressgan.cli.project import Project
from compressgan.networks.loading import import_tensorflow


def main(_: Project) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("-r", metavar="DIR", type=Path, required=True, help="checkpoint folder")
    parser.add_argument(
        "--browser", metavar="DIR", type=Path, help="write the browser page's model to this folder instead"
    )
    arguments = parser.parse_args()
    require_extra("train", "tensorflow")
    import_tensorflow()
    if arguments.browser:
        from compressgan.cli.browser_model import export_for_browser

        export_for_browser(arguments.r, arguments.browser)
        print(f"{arguments.browser}: written")
        return 0
    from compressgan.networks.export import export

    path = export(arguments.r)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0
