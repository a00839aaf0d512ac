"""Every setting of CompressGAN in one typed place, and the directories of the project.

A `Config` is saved inside every checkpoint and rebuilt from there, so that weights are never read with settings
other than their own. Section, equation and appendix numbers refer to Agustsson et al., arXiv 1804.02958.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

VERSION = "0.1.0"

PROJECT_DIR = Path(__file__).resolve().parent
DATA_DIR = PROJECT_DIR / "data"  # path indexes made by train.py, and a small example training set
CHECKPOINTS_DIR = PROJECT_DIR / "checkpoints"  # one folder a run; `default` is the shipped one
DEFAULT_CHECKPOINT = CHECKPOINTS_DIR / "default"
EXPERIMENTS_DIR = PROJECT_DIR / "output" / "experiments"  # one folder an experiment
TENSORBOARD_DIR = PROJECT_DIR / "tensorboard"  # one folder a run

PREPROCESS_SIZE = (256, 256)  # width and height that preprocess.py resizes to, pixels
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
DEFAULT_EFFORT = 4  # steps of refining latents against their photo before they are written
MAX_EFFORT = 20  # more would hardly change anything
MAX_PIXELS = 2**28  # of a photo; more, in an image or claimed by a .bin, is refused before memory is taken
STRIDE = 16  # pixels a side for one latent position, in every preset


@dataclass(frozen=True)
class Config:
    """Settings of one model and of its training. The defaults are the `compact` preset.

    Raises:
        ValueError: from the constructor, when a value is out of its range or of the wrong type.
    """

    # Latents
    latent_channels: int = 16  # C, channels of the bottleneck
    levels: int = 5  # L, number of quantization centers
    latent_bound: float = 2.5  # latents are bound * tanh(.), so that no center starves; 0: linear, as in the paper
    prior_width: int = 16  # hidden units per latent channel of the entropy coder's trained prior
    temperature: float = 1.0  # of the soft assignment, softmax(-|w - c|^2 / temperature), at the first step
    final_temperature: float = 1.0  # at the last step

    # Encoder and generator
    norm: Literal["none", "channel", "instance"] = "none"  # instance norm sees the whole image: no tiling
    stem_block: int = 4  # pixels a side folded into channels by the first layer and unfolded by the last; 1: none
    stem_kernel: int = 3  # kernel of the first and the last layer
    encoder_widths: tuple[int, ...] = (96, 192, 192)  # first layer, then one 3x3 stride-2 layer for each further width
    encoder_blocks: int = 3  # residual blocks at 1/16
    generator_widths: tuple[int, ...] = (192, 128, 64)  # trunk at 1/16, then one doubling of the size for each width
    generator_blocks: int = 6  # residual blocks at 1/16
    upsampling: Literal["pixel_shuffle", "transposed"] = "pixel_shuffle"  # how the generator doubles the size
    finish_width: int = 32  # of the residual block between two steps of the last unfolding; 0: none
    zero_init_blocks: bool = True  # residual branches start at zero, which makes training without norm stable
    block_norm: Literal["none", "channel"] = "channel"  # in blocks at 1/16, whose ReLU else falls silent; none: `norm`
    block_scale: float = 0.1  # of their branches, whose updates would else be too large (as in EDSR, arXiv 1707.02921)

    # Discriminators
    discriminator_scales: int = 2  # inputs at 1, 1/2, 1/4, ... of the size, each with its own weights
    discriminator_widths: tuple[int, ...] = (32, 64, 128, 256)  # 4x4 stride-2 layers

    # Losses (section 3)
    use_vanilla_GAN: bool = False  # noqa: N815  non-saturating cross-entropy on logits instead of LSGAN
    adversarial_coeff: float = 0.02  # weight of the adversarial term
    distortion_coeff: float = 12.0  # weight of the MSE on [-1, 1]
    rate_coeff: float = 0.05  # weight of the latents' code length, bits per pixel (the paper's beta, 0 there)
    rate_target: float = 0.062  # bits per pixel that the weight is slowly adapted to reach; 0: it stays as it is
    perceptual_coeff: float = 0.2  # weight of the VGG19 feature distance; 0: VGG19 is not loaded
    perceptual_crop: int = 128  # side of the random window of each crop that VGG19, which costs most, sees, pixels
    feature_matching_coeff: float = 0.2  # weight of the L1 between discriminator features of x and of G(x)
    pattern_coeff: float = 100.0  # weight of the error that neighbouring blocks have in common
    vgg19_weights: str = "imagenet"  # "imagenet" as Keras downloads them, or the name of the file given to --perceptual

    # Training
    steps: int = 60_000  # optimizer steps in all
    perceptual_from: int = 0  # step at which the VGG19 term joins
    adversarial_from: int = 40_000  # step at which the adversarial, feature matching and pattern terms join
    crop_size: int = 256  # side of the random training crops, pixels
    batch_size: int = 8  # crops a step
    optimizer: Literal["muon", "adam"] = "muon"  # of encoder, centers and generator; the others have Adam
    learning_rate: float = 1e-3  # of encoder, centers and generator
    prior_learning_rate: float = 2e-3  # Adam, of the entropy coder's prior
    discriminator_learning_rate: float = 2e-4  # Adam, of the discriminators
    final_learning_rate_share: float = 0.02  # all rates fall to this share along a cosine; 1: constant
    warmup_steps: int = 200  # all rates rise linearly over these steps
    adam_beta_1: float = 0.9  # of all that Adam moves; with Muon that is all but the kernels of convolutions
    gradient_clip: float = 1.0  # largest global norm of a gradient; 0: no clipping
    ema_decay: float = 0.999  # of the averaged weights that inference uses
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"  # of the layers' arithmetic
    seed: int = 0  # of the initial weights, the split, the order of the images and the crops
    train_fraction: float = 0.95  # share of the images in the training index; the rest validates
    validation_images: int = 16  # images of the test index used at each validation
    validation_max_side: int = 768  # validation images are cropped in their middle to this, pixels
    validate_every: int = 2_000  # steps
    save_every: int = 500  # steps
    log_every: int = 50  # steps

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, default = getattr(self, field.name), getattr(Config, field.name)
            _check_type(field.name, value, default)
            if isinstance(default, float):  # as JSON has it, 0 is an integer
                object.__setattr__(self, field.name, float(value))
        for name, least in _LEAST.items():
            values = getattr(self, name)
            for value in values if isinstance(values, tuple) else (values,):
                if not value >= least:
                    raise ValueError(f"{name} must be at least {least}, not {value}")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}, not {getattr(self, name)}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name, widths in (("encoder_widths", self.encoder_widths), ("generator_widths", self.generator_widths)):
            if self.stem_block * 2 ** (len(widths) - 1) != STRIDE:
                raise ValueError(
                    f"{name} needs one width for the first layer and one for each halving: "
                    f"stem_block * 2^(number of widths - 1) must be {STRIDE}"
                )
        if self.finish_width and self.stem_block % 2:
            raise ValueError(f"finish_width needs an even stem_block, not {self.stem_block}")
        if self.levels > 32 or self.latent_channels > 255:
            raise ValueError("the .bin format holds at most 32 levels and 255 latent channels")
        if self.prior_width > 64:
            raise ValueError(f"prior_width must be at most 64, not {self.prior_width}")
        if self.rate_target and not self.rate_coeff:
            raise ValueError("rate_target needs a rate_coeff above 0 to start from")
        if self.crop_size % STRIDE:
            raise ValueError(f"crop_size must be a multiple of {STRIDE}, not {self.crop_size}")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(f"train_fraction must lie in (0, 1], not {self.train_fraction}")

    def replace(self, **changes: Any) -> Config:
        """Returns a copy with some fields changed.

        Raises:
            ValueError: an unknown field, or a value out of range.
        """
        unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(self)})
        if unknown:
            raise ValueError(f"unknown setting: {', '.join(unknown)}")
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as JSON types."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Config:
        """Rebuilds the settings from `to_json`'s output.

        Settings of training that an older version did not have take their defaults; those of the architecture must be
        there.

        Raises:
            ValueError: missing or unknown keys, or values out of range.
        """
        values = {**BEFORE_SETTING, **values}
        missing = sorted(set(ARCHITECTURE) - set(values))
        if missing:
            raise ValueError(f"missing setting: {', '.join(missing)}")
        return cls().replace(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def override(self, assignments: list[str]) -> Config:
        """Returns a copy changed by `name=value` texts; values are written as JSON, or as bare words.

        Raises:
            ValueError: a text without `=`, an unknown field, or a value out of range.
        """
        changes = {}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise ValueError(f"a setting is written name=value, not {assignment!r}")
            try:
                value = json.loads(text)
            except json.JSONDecodeError:
                value = text
            changes[name] = tuple(value) if isinstance(value, list) else value
        return self.replace(**changes)


# What was so before it became a setting, in checkpoints that do not name it.
BEFORE_SETTING = {"optimizer": "adam", "block_norm": "none", "block_scale": 1.0, "pattern_coeff": 0.0}

# Fields that shape the networks or the meaning of the latents: fixed once a checkpoint exists.
ARCHITECTURE = (
    "latent_channels",
    "levels",
    "latent_bound",
    "prior_width",
    "norm",
    "stem_block",
    "stem_kernel",
    "encoder_widths",
    "encoder_blocks",
    "generator_widths",
    "generator_blocks",
    "upsampling",
    "finish_width",
    "block_norm",
    "block_scale",
    "discriminator_scales",
    "discriminator_widths",
)

_LEAST = {
    "latent_channels": 1,
    "levels": 2,
    "latent_bound": 0,
    "prior_width": 1,
    "temperature": 1e-6,
    "final_temperature": 1e-6,
    "perceptual_from": 0,
    "perceptual_crop": STRIDE,
    "adversarial_coeff": 0,
    "distortion_coeff": 0,
    "rate_coeff": 0,
    "rate_target": 0,
    "perceptual_coeff": 0,
    "feature_matching_coeff": 0,
    "pattern_coeff": 0,
    "stem_block": 1,
    "stem_kernel": 1,
    "encoder_widths": 1,
    "encoder_blocks": 0,
    "generator_widths": 1,
    "generator_blocks": 0,
    "finish_width": 0,
    "block_scale": 0,
    "discriminator_scales": 1,
    "discriminator_widths": 1,
    "steps": 1,
    "adversarial_from": 0,
    "crop_size": STRIDE,
    "batch_size": 1,
    "learning_rate": 0,
    "prior_learning_rate": 0,
    "discriminator_learning_rate": 0,
    "final_learning_rate_share": 0,
    "warmup_steps": 0,
    "adam_beta_1": 0,
    "gradient_clip": 0,
    "ema_decay": 0,
    "validation_images": 0,
    "validation_max_side": STRIDE,
    "validate_every": 1,
    "save_every": 1,
    "log_every": 1,
    "seed": 0,
}
_MOST = {"seed": 2**31 - 1, "final_learning_rate_share": 1, "adam_beta_1": 0.9999, "ema_decay": 0.999999}
_CHOICES = {
    "norm": ("none", "channel", "instance"),
    "block_norm": ("none", "channel"),
    "upsampling": ("pixel_shuffle", "transposed"),
    "optimizer": ("muon", "adam"),
    "precision": PRECISIONS,
}


def _check_type(name: str, value: Any, default: Any) -> None:
    if isinstance(default, tuple):
        fits = isinstance(value, tuple) and all(type(v) is int for v in value) and value
    elif isinstance(default, float):
        fits = type(value) in (int, float) and math.isfinite(value)
    else:
        fits = type(value) is type(default)
    if not fits:
        kind = {tuple: "a list of integers", float: "a finite number"}.get(type(default), type(default).__name__)
        raise ValueError(f"{name} must be {kind}, not {value!r}")


PRESETS = {
    # The shipped model's: learns fastest on a CPU and can be tiled exactly.
    "compact": Config(),
    # The paper's layer list (appendix A) and the original project's training settings.
    "paper": Config(
        latent_channels=8,
        latent_bound=0.0,
        norm="instance",
        stem_block=1,
        stem_kernel=7,
        encoder_widths=(60, 120, 240, 480, 960),
        encoder_blocks=0,
        generator_widths=(960, 480, 240, 120, 60),
        generator_blocks=9,
        upsampling="transposed",
        finish_width=0,
        zero_init_blocks=False,
        block_norm="none",
        block_scale=1.0,
        discriminator_scales=3,
        discriminator_widths=(64, 128, 256, 512),
        rate_coeff=0.0,
        rate_target=0.0,
        adversarial_coeff=1.0,
        perceptual_crop=256,
        feature_matching_coeff=10.0,
        pattern_coeff=0.0,
        batch_size=4,
        optimizer="adam",
        learning_rate=2e-4,
        steps=200_000,
        adversarial_from=120_000,
        final_learning_rate_share=1.0,
        warmup_steps=0,
        adam_beta_1=0.5,
        gradient_clip=0.0,
    ),
    # Seconds instead of days, for tests and for trying the tools.
    "tiny": Config(
        latent_channels=4,
        encoder_widths=(16, 16, 16),
        encoder_blocks=1,
        generator_widths=(16, 16, 16),
        generator_blocks=1,
        finish_width=4,
        discriminator_widths=(8, 16),
        rate_coeff=0.0,
        rate_target=0.0,
        perceptual_coeff=0.0,
        steps=60,
        adversarial_from=40,
        crop_size=64,
        batch_size=4,
        optimizer="adam",
        learning_rate=4e-4,
        warmup_steps=5,
        ema_decay=0.9,
        validation_images=2,
        validation_max_side=192,
        validate_every=30,
        save_every=20,
        log_every=5,
    ),
}
