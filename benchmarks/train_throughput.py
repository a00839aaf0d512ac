"""Measures training: images per second, time spent waiting for data, FLOP/s against the convolution peak, memory.

python benchmarks/train_throughput.py -path photos
python benchmarks/train_throughput.py -path photos --cases compact-128-float32 paper-256-float32
"""

from __future__ import annotations

import clone  # noqa: F401

# isort: split
import math
import multiprocessing
import resource
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from compressgan.cli import run
from compressgan.cli.options import make_parser
from compressgan.errors import CompressGANError
from compressgan.networks.loading import import_tensorflow
from config import PROJECT

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

PRECISIONS = ("float32", "mixed_bfloat16")
PIXELS_A_STEP = {"compact": 32 * 128**2, "paper": 4 * 256**2}
CASES = [
    *(f"compact-{size}-{precision}" for size in (128, 256) for precision in PRECISIONS),
    *(f"paper-256-{precision}" for precision in PRECISIONS),
]


def conv_flops(network: keras.Model, inputs: list[tf.Tensor] | tf.Tensor) -> dict[str, int]:
    """Returns the floating-point operations of each convolution, by name, in one forward pass."""
    import keras

    convs = [
        layer for layer in network.layers if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose))
    ]
    outputs = keras.Model(network.inputs, [[layer.input, layer.output] for layer in convs])(inputs)
    flops = {}
    for layer, (x, y) in zip(convs, outputs, strict=True):
        height, width, *_ = layer.kernel.shape
        # A transposed convolution applies its kernel at every input position, a plain one at every output position.
        positions = x if isinstance(layer, keras.layers.Conv2DTranspose) else y
        batch, rows, columns, _ = positions.shape
        flops[layer.name] = 2 * batch * rows * columns * height * width * x.shape[-1] * y.shape[-1]
    return flops


def realism_flops(network: keras.Model, flops: dict[str, int]) -> int:
    """Returns the operations of the convolutions that realism adds, given those of the convolutions that it adds to."""
    from compressgan.networks.layers import REALISM

    total = 0
    for name, whole in flops.items():
        with suppress(ValueError):  # there is no such layer
            added = network.get_layer(f"{name}_{REALISM}")
            weights = sum(math.prod(part.kernel.shape) for part in (added.inner, added.outer))
            total += whole * weights // math.prod(network.get_layer(name).kernel.shape)
    return total


def muon_flops(optimizer: keras.optimizers.Optimizer) -> int:
    """Returns the floating-point operations of the matrix products in one step of an optimizer, if it is Muon."""
    from compressgan.training.optimizers import MUON_ITERATIONS, Muon

    total = 0
    for kernel in optimizer._trainable_variables if isinstance(optimizer, Muon) else ():
        if len(kernel.shape) == 4:
            *rest, columns = kernel.shape
            less, more = sorted((math.prod(rest), columns))
            # Each iteration takes four products, except that the first takes one less, and the last takes two less.
            total += 2 * less**2 * (2 * more + (4 * MUON_ITERATIONS - 3) * less)
    return total


def conv_peak(precision: str) -> float:
    """Returns the fastest 3x3 convolution's operations per second, forward and backward."""
    import tensorflow as tf

    dtype = {"float32": tf.float32, "mixed_bfloat16": tf.bfloat16}[precision]
    best = 0.0
    for size, width in ((32, 128), (32, 192), (64, 192), (64, 256), (16, 512)):
        x = tf.cast(tf.random.normal((8, size, size, width)), dtype)
        kernel = tf.cast(tf.random.normal((3, 3, width, width)), dtype)

        @tf.function
        def step(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch([x, kernel])
                y = tf.nn.conv2d(x, kernel, 1, "SAME")
            # y is returned, because the gradients do not need it and TensorFlow would skip the forward pass.
            return y, *tape.gradient(y, [x, kernel])

        step(x, kernel)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            step(x, kernel)[2].numpy()
            seconds.append(time.perf_counter() - start)
        best = max(best, 3 * 2 * 8 * size * size * 9 * width * width / min(seconds))
    return best


def measure(case: str, paths: list[str], steps: int, rows: Connection) -> None:
    """Trains for some steps of both stages on real photos, and sends the table's rows."""
    import_tensorflow()
    import tensorflow as tf

    from compressgan.training.data import training_dataset
    from compressgan.training.train_step import TrainStep

    preset, size, precision = case.split("-")
    config = PROJECT.presets[preset].replace(
        crop_size=int(size),
        batch_size=max(1, PIXELS_A_STEP[preset] // int(size) ** 2),
        precision=precision,
        perceptual_coeff=0.0,
        adversarial_from=steps + 1,
    )
    peak = conv_peak(precision)
    train_step = TrainStep(config, tf.distribute.get_strategy(), None)
    batches = iter(training_dataset(paths, config, 0))
    batch = photos, level = next(batches)
    model, count = train_step.model, len(photos)
    latents = model.encoder([photos, level])
    encoder = conv_flops(model.encoder, [photos, level])
    generator = conv_flops(model.generator, [latents, level, tf.zeros(count)])
    side = train_step.discriminator_side
    seen = [tf.zeros((count, side, side, 3))]
    if config.discriminator_sees_latents:
        seen.append(tf.zeros((count, side, side, config.latent_channels)))
    discriminator = conv_flops(train_step.discriminator, seen if len(seen) > 1 else seen[0])
    # The backward pass costs two forward passes, for weights and for inputs. The photos need no gradient.
    codec = 3 * sum([*encoder.values(), *generator.values()]) - encoder["stem"]
    # The discriminator sees two batches, takes both gradients of each, and passes one more back to the generator.
    first_layers = [flops for name, flops in discriminator.items() if name.endswith("conv0")]
    adversarial = 7 * sum(discriminator.values()) - 2 * sum(first_layers)
    distortion = codec + muon_flops(train_step.optimizer)
    second = distortion + adversarial
    if config.realism:  # the encoder goes forward alone, and the generator's own kernels take no gradient
        added = realism_flops(model.generator, generator)
        second = sum(encoder.values()) + 2 * sum(generator.values()) + 3 * added + adversarial
        second += muon_flops(train_step.realism_optimizer)
    for stage, flops in (("distortion", distortion), ("adversarial", second)):
        first = 0 if stage == "distortion" else config.adversarial_from
        train_step(batch, first)  # traces
        waiting, start = 0.0, time.perf_counter()
        for step in range(first, first + steps):
            asked = time.perf_counter()
            batch = next(batches)
            waiting += time.perf_counter() - asked
            float(train_step(batch, step)["distortion"])
        seconds = time.perf_counter() - start
        rate = steps * flops / (seconds - waiting)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.send(
            f"| {preset:7} | {size:>4} | {precision:14} | {stage:11} | {config.batch_size:5} "
            f"| {steps * config.batch_size / seconds:8.1f} | {waiting / seconds:7.1%} "
            f"| {rate / 1e9:7.0f} | {peak / 1e9:5.0f} | {rate / peak:6.0%} | {memory:6.1f} |"
        )


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("-path", metavar="DIR", type=Path, required=True, help="folder of photos")
    parser.add_argument(
        "--cases", nargs="+", default=CASES, choices=CASES, metavar="PRESET-CROP-PRECISION", help=", ".join(CASES)
    )
    parser.add_argument("--steps", type=int, default=20, help="number of steps to time")
    arguments = parser.parse_args()
    import_tensorflow()
    from compressgan.training.index import find_images

    paths = [str(path) for path in find_images([arguments.path])[0]]
    columns = ("preset ", "crop", "precision     ", "stage      ", "batch", "images/s", "waiting", "GFLOP/s", " peak")
    columns = (*columns, " share", "   GiB")
    print(f"| {' | '.join(columns)} |")
    print(f"|{'|'.join('-' * (len(column) + 2) for column in columns)}|")
    spawn = multiprocessing.get_context("spawn")  # one process per case, to measure memory per case
    for case in arguments.cases:
        rows, sender = spawn.Pipe(duplex=False)
        steps = arguments.steps if case.startswith("compact") else 3
        process = spawn.Process(target=measure, args=(case, paths, steps, sender))
        process.start()
        sender.close()  # only the process can send now, so the pipe closes when it ends
        with suppress(EOFError):
            while True:
                print(rows.recv(), flush=True)
        process.join()
        if process.exitcode:
            raise CompressGANError(f"{case}: its process ended with exit code {process.exitcode}")
    return 0


if __name__ == "__main__":
    run(main)
