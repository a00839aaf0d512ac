"""Measures a model against the codecs people use, on a folder of photos.

python src/evaluate.py -path photos -o output/evaluation
python src/evaluate.py -path photos -o output/evaluation -r checkpoints/mine --perceptual imagenet
python src/evaluate.py -path photos -o output/evaluation --codecs "JPEG 2000" AVIF

Every other codec is taken at the two settings whose mean rate on these photos brackets the model's, and at the two that
bracket twice the model's; where its smallest files are larger still, at that. Writes results.json (described by
src/results.schema.json), results.csv, rate_distortion.png and crops.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from settings import load_tensorflow

import numpy as np
from tqdm import tqdm

from errors import CompressGANError, UsageError, run, warn
from files import inputs_under, make_folder
from options import add_codec_options
from other_codecs import ComparedCodec, available_codecs
from photo import is_photo, read_photo


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-path", metavar="DIR", type=Path, required=True, help="folder of photos, best lossless ones")
    parser.add_argument("-o", metavar="DIR", type=Path, required=True, help="output folder; made if there is none")
    add_codec_options(parser)
    parser.add_argument("--codecs", metavar="NAME", nargs="*", help="other codecs; default: all that are there")
    parser.add_argument("--perceptual", metavar="imagenet|FILE", help="VGG19 weights, for the feature distance")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    codecs, absent = available_codecs()
    if arguments.codecs is not None:
        unknown = set(arguments.codecs) - {codec.name for codec in codecs}
        if unknown:
            here = ", ".join(codec.name for codec in codecs)
            raise UsageError(f"--codecs: not here: {', '.join(sorted(unknown))}; here are: {here}")
        codecs = [codec for codec in codecs if codec.name in arguments.codecs]
    elif absent:
        print(f"absent: {', '.join(absent)}")
    photos, left_out = read_all(arguments.path, arguments.o)
    make_folder(arguments.o)
    load_tensorflow()
    from bench import OURS, Bench, at_equal_bytes, bracketing
    from codec import Codec
    from model import read_config
    from perceptual import PerceptualLoss
    from photo import to_float
    from plots import write_crops, write_rate_distortion
    from results import write_results
    from tables import print_table

    vgg19 = None
    if arguments.perceptual:
        loss = PerceptualLoss(arguments.perceptual)

        def vgg19(x: np.ndarray, y: np.ndarray) -> float:
            return float(loss(to_float(x)[np.newaxis], to_float(y)[np.newaxis]))

    model = Codec.load(arguments.r, effort=arguments.effort)
    model.decompress(model.compress(np.zeros((64, 64, 3), np.uint8)))  # the first run is slower
    ours = ComparedCodec(OURS, (), lambda photo, _: model.compress(photo), model.decompress)
    bench = Bench(photos)
    rate = bench.mean_bpp(ours, None)
    if not rate > 0:
        raise CompressGANError(f"{arguments.r}: this model can do none of the photos")
    jobs = [(ours, None)]
    for codec in tqdm(codecs, desc="finding the settings", disable=None):
        jobs += [(codec, setting) for setting in bracketing(codec, bench, (rate, 2 * rate))]
    results = []
    for codec, setting in tqdm(jobs, desc="measuring", unit="setting", disable=None):
        results += bench.measure(codec, setting, vgg19)
    if not results:
        raise CompressGANError("nothing could be measured")
    fingerprint = read_config(arguments.r)[1]
    description = {"checkpoint": str(arguments.r), "fingerprint": fingerprint, "effort": arguments.effort}
    table = write_results(arguments.o, results, bench, description, absent)
    if not table:
        raise CompressGANError("there is no photo that all codecs can do; give other photos, or fewer --codecs")
    print_table(table)
    write_rate_distortion(arguments.o / "rate_distortion.png", table)
    # Last, since it tries other settings: one that fails here has no part in the figures.
    write_crops(arguments.o / "crops.png", at_equal_bytes(bench, ours, codecs))
    return 1 if left_out or bench.failures else 0


def read_all(folder: Path, output: Path) -> tuple[dict[str, np.ndarray], int]:
    """Returns the photos of a folder by name, and how many cannot be read; those are named and left out."""
    if not folder.is_dir():
        raise CompressGANError(f"{folder}: no such folder")
    files, photos = inputs_under(folder, output, "images", is_photo), {}
    for file in files:
        try:
            photos[str(file.relative_to(folder))] = read_photo(file)
        except CompressGANError as error:
            warn(f"{error}; left out")
    if not photos:
        raise CompressGANError(f"{folder}: no image that can be read")
    return photos, len(files) - len(photos)


if __name__ == "__main__":
    run(main)
