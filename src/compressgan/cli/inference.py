"""Compresses photos to .bin files, and reconstructs photos from .bin files.

python src/inference.py -path photo.jpg -o output            # photo.bin, pictures, summary.csv and .json
python src/inference.py -path a.jpg b.jpg -o output          # several photos
python src/inference.py -path photos -o output               # a folder with its sub-folders
python src/inference.py -path photos -o output -q 3          # at a lower level; or --size 2000, --bpp 0.05
python src/inference.py -path photo.jpg -o output --mask mask.png    # white: quality matters, black: it does not
python src/inference.py -path photos -o output --report      # also report.html: a table and before/after sliders
python src/inference.py -path photos -o output --no-overwrite    # only missing outputs
python src/inference.py -c output/photo.bin -o restored      # decode a .bin file; the original is not needed
python src/inference.py -c output -o restored --realism 0    # closest to the photo; 1: most like a photograph
python src/inference.py -c output -o restored --format webp  # every .bin file in a folder, as WebP
python src/inference.py -path s3://bucket/photos -o s3://bucket/out --ray    # in an object store; on all CPUs
python src/inference.py -r checkpoints/mine ...              # with a model other than the shipped one
"""

from __future__ import annotations

from compressgan.cli.compress import compress
from compressgan.cli.decompress import decompress
from compressgan.cli.options import (
    add_checkpoint_option,
    add_compression_options,
    add_output_options,
    location,
    make_parser,
)
from compressgan.cli.project import Project
from compressgan.errors import UsageError


def main(project: Project) -> int:
    parser = make_parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "-path",
        "--path",
        metavar="PHOTO|DIR",
        type=location,
        nargs="+",
        help="photos, or folders of photos, to compress",
    )
    what.add_argument(
        "-c", metavar="BIN|DIR", type=location, nargs="+", help=".bin files, or folders of .bin files, to reconstruct"
    )
    add_checkpoint_option(parser, project.default_checkpoint)
    add_output_options(parser)
    options = add_compression_options(parser, project.effort)
    arguments = parser.parse_args()
    if arguments.path:
        return compress(arguments)
    given = [own.option_strings[0] for own in options if getattr(arguments, own.dest) != own.default]
    if given:
        raise UsageError(f"{' and '.join(given)}: only for compressing, which needs -path")
    return decompress(arguments)
