"""Mixes the weights of two checkpoints of one family: between fidelity and realism, without training.

python src/interpolate.py checkpoints/distortion checkpoints/adversarial -o checkpoints/between --share 0.5

Only where the second was trained from the first (--init-from) do weights between theirs make sense (Wang et al.,
ESRGAN, arXiv 1809.00219, section 3.4: network interpolation).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from settings import ARCHITECTURE, load_tensorflow

from errors import CompressGANError, UsageError, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", metavar="DIR", type=Path, help="checkpoint")
    parser.add_argument("second", metavar="DIR", type=Path, help="checkpoint trained from the first")
    parser.add_argument("-o", metavar="DIR", type=Path, required=True, help="new checkpoint")
    parser.add_argument("--share", metavar="X", type=float, default=0.5, help="of the second, 0 to 1; default: 0.5")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    if not 0 <= arguments.share <= 1:
        raise UsageError(f"--share must lie in [0, 1], not {arguments.share}")
    if arguments.o.exists():
        raise UsageError(f"{arguments.o}: exists already")
    load_tensorflow()
    from files import make_folder
    from model import CompressGAN

    first, second = CompressGAN.load(arguments.first), CompressGAN.load(arguments.second)
    for name in ARCHITECTURE:
        ours, theirs = getattr(second.config, name), getattr(first.config, name)
        if ours != theirs:
            raise CompressGANError(f"{arguments.second}: {name} is {ours}, but {theirs} in {arguments.first}")
    for variable, other in zip(second.weights, first.weights, strict=True):
        variable.assign(arguments.share * variable + (1 - arguments.share) * other)
    make_folder(arguments.o)
    second.save_weights_for_inference(arguments.o, step=0)
    print(f"{arguments.o}: {arguments.share:g} of {arguments.second}, {1 - arguments.share:g} of {arguments.first}")
    return 0


if __name__ == "__main__":
    run(main)
