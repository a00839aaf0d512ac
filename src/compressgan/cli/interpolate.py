"""Mixes the weights of two checkpoints, to trade fidelity against realism without training.

python src/interpolate.py checkpoints/distortion checkpoints/adversarial -o checkpoints/between --share 0.5
python src/interpolate.py checkpoints/first checkpoints/second -o checkpoints/mixed --share 0.35 --realism 1.25

The second checkpoint must have been trained from the first (--init-from). Otherwise the mixed weights make no sense
(Wang et al., ESRGAN, arXiv 1809.00219, section 3.4: network interpolation).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compressgan.checkpoint import read_config
from compressgan.cli.options import make_parser, number, require_extra
from compressgan.cli.project import Project
from compressgan.errors import CompressGANError, UsageError
from compressgan.images.files import make_folder
from compressgan.networks.loading import import_tensorflow


def main(_: Project) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("first", metavar="DIR", type=Path, help="checkpoint")
    parser.add_argument("second", metavar="DIR", type=Path, help="checkpoint trained from the first")
    parser.add_argument("-o", "--output", dest="o", metavar="DIR", type=Path, required=True, help="new checkpoint")
    parser.add_argument(
        "--share", metavar="X", type=float, default=0.5, help="share of the second, 0 to 1; default: %(default)s"
    )
    parser.add_argument(
        "--realism",
        metavar="X",
        type=number(float, 0, 4, "number from 0 to 4"),
        default=1.0,
        help="factor on what realism adds to the mixed generator; default: %(default)s",
    )
    arguments = parser.parse_args()
    return interpolate(arguments.first, arguments.second, arguments.o, arguments.share, arguments.realism)


def interpolate(first_folder: Path, second_folder: Path, output: Path, share: float, realism: float) -> int:
    """Writes a checkpoint with weights between those of two others, and returns the exit code.

    Weights in the middle paint less than either end, which a factor on the realism makes up for. If both encode alike,
    the first one's prior stays: it fits the same latents, and its files keep their sizes.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"--share must be in [0, 1], not {share}")
    if output.exists():
        raise UsageError(f"{output}: already exists")
    if realism != 1 and not read_config(first_folder)[0].realism:
        raise UsageError(f"--realism has no effect: the model in {first_folder} was trained without realism")
    require_extra("train", "tensorflow")
    import_tensorflow()
    from compressgan.networks.layers import Realism
    from compressgan.networks.model import CompressGAN

    first, second = CompressGAN.load(first_folder), CompressGAN.load(second_folder)
    if name := second.config.other_architecture(first.config):
        ours, theirs = getattr(second.config, name), getattr(first.config, name)
        raise CompressGANError(f"{second_folder}: {name} is {ours}, but {theirs} in {first_folder}")
    encode_alike = all(
        np.array_equal(variable, other)
        for ours, theirs in ((second.encoder, first.encoder), (second.quantizer, first.quantizer))
        for variable, other in zip(ours.weights, theirs.weights, strict=True)
    )
    for variable, other in zip(second.weights, first.weights, strict=True):
        variable.assign(share * variable + (1 - share) * other)
    if encode_alike:
        second.prior.set_weights(first.prior.get_weights())
    for layer in second.generator.layers:
        if isinstance(layer, Realism):
            for variable in layer.outer.weights:
                variable.assign(realism * variable)
    make_folder(output)
    second.save_weights_for_inference(output, step=0)
    print(f"{output}: {share:g} of {second_folder}, {1 - share:g} of {first_folder}")
    return 0
