"""The settings of a model and of its training.

A `Config` is saved in every checkpoint and rebuilt from there, so weights are never used with the wrong settings. The
presets are in the project's top-level `config.py`. Section and equation numbers refer to Agustsson et al.,
arXiv 1804.02958.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from compressgan.geometry import STRIDE

DEFAULT_EFFORT = 4  # refinement steps for each photo
MAX_EFFORT = 20  # more steps hardly change anything
DEFAULT_MEMORY = 2**29  # bytes

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Step = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Widths = Annotated[tuple[Positive, ...], Field(min_length=1)]


class Config(BaseModel):
    """Settings of one model and of its training. The defaults are the `compact` preset.

    Raises:
        pydantic.ValidationError: a setting is unknown, of the wrong type, or out of range. It is a ValueError.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    # Levels and realism
    levels: Annotated[int, Field(ge=1, le=64)] = 8
    """Number of rates that the model can compress to; level 1 makes the smallest files."""
    default_level: Positive = 5
    """Level used if the user does not choose one; at most `levels`."""
    realism: bool = True
    """Whether the generator can be told how much realism to paint, which it learns in a second stage of training."""
    realism_rank: Positive = 32
    """With `realism`, rank of what it adds to each kernel of the generator; none to those of transposed layers."""
    default_realism: Annotated[float, Field(ge=0, le=1)] = 1.0
    """With `realism`, the one used if the user does not choose one."""

    # Latents
    latent_channels: Annotated[int, Field(ge=1, le=255)] = 32
    """C, channels of the bottleneck."""
    centers: Annotated[int, Field(ge=2, le=32)] = 5
    """L, number of quantization centers."""
    latent_bound: Weight = 2.5
    """Latents are bound * tanh(.), so every center is used; 0: unbounded, as in the paper."""
    prior_width: Annotated[int, Field(ge=1, le=64)] = 16
    """Hidden units per latent channel of the entropy coder's trained prior."""
    temperature: Annotated[float, Field(ge=1e-6)] = 1.0
    """Temperature of the soft assignment, softmax(-|w - c|^2 / temperature), at the first step."""
    final_temperature: Annotated[float, Field(ge=1e-6)] = 1.0
    """Temperature at the last step."""

    # Encoder and generator
    norm: Literal["none", "channel", "instance"] = "none"
    """Normalization in all layers. Instance norm sees the whole image, which rules out tiling."""
    padding: Literal["zeros", "reflection"] = "zeros"
    """What the stride-1 layers of encoder and generator see beyond the photo."""
    initializer: Literal["he_normal", "glorot_uniform"] = "he_normal"
    """Initial kernels of all layers but the last ones; glorot_uniform is Xavier's."""
    stem_block: Positive = 4
    """Pixels per side that the first layer folds into channels and the last one unfolds; 1: no folding."""
    stem_kernel: Positive = 3
    """Kernel size of the first and the last layer."""
    encoder_widths: Widths = (96, 192, 192)
    """Channels of the first layer, then of one 3x3 stride-2 layer for each further width."""
    encoder_blocks: Step = 3
    """Residual blocks of the encoder, at 1/16 of the photo's size."""
    generator_widths: Widths = (192, 128, 64)
    """Channels of the trunk at 1/16 of the photo's size, then after each doubling of the size."""
    generator_blocks: Step = 6
    """Residual blocks of the generator, at 1/16 of the photo's size."""
    upsampling: Literal["pixel_shuffle", "transposed"] = "pixel_shuffle"
    """How the generator doubles the size."""
    finish_width: Step = 32
    """Channels of the residual block between the two steps of the last unfolding; 0: no block."""
    zero_init_blocks: bool = True
    """Residual branches start at zero, which keeps training without norm stable."""
    block_norm: Literal["none", "channel"] = "channel"
    """Norm in the residual blocks at 1/16, which keeps their ReLUs from dying; none: the same as `norm`."""
    block_scale: Weight = 0.125
    """Scale of the residual branches, whose updates would otherwise be too large (EDSR, arXiv 1707.02921). A power of
    two, because LiteRT folds it into kernels in half precision."""

    # Discriminators
    discriminator_scales: Positive = 2
    """Number of discriminators, each with its own weights; they see the photo at 1, 1/2, 1/4, ... of its size."""
    discriminator_widths: Widths = (48, 96, 192, 256)
    """Channels of the 4x4 stride-2 layers."""
    discriminator_norm: Literal["none", "instance"] = "none"
    """Norm of the discriminators' inner layers; instance norm removes each photo's contrast."""
    discriminator_sees_latents: bool = True
    """Whether the discriminators are given the latents, too (HiFiC, arXiv 2006.09965)."""

    # Losses (section 3)
    use_vanilla_GAN: bool = False  # noqa: N815
    """Use the non-saturating cross-entropy on logits instead of LSGAN."""
    adversarial_coeff: Weight = 0.5
    """Weight of the adversarial term."""
    distortion_coeff: Annotated[float, Field(gt=0)] = 12.0
    """Weight of the MSE on [-1, 1]."""
    rate_coeff: Weight = 0.05
    """Weight of the latents' code length in bits per pixel at the start, at every level: the paper's beta, 0 there."""
    rate_target: Weight = 0.020
    """Target rate of level 1 in bits per pixel, to which its rate weight slowly adapts; 0: all weights are fixed."""
    highest_rate_target: Weight = 0.130
    """Target rate of the highest level; those between are spaced evenly in their logarithm."""
    realism_distortion_coeff: Weight = 6.0
    """With `realism`, weight of the MSE in the second stage."""
    perceptual_coeff: Weight = 0.25
    """Weight of the VGG19 feature distance; 0: VGG19 is not loaded."""
    perceptual_kind: Literal["normalized", "block2_pool"] = "normalized"
    """normalized: of feature vectors of length 1 in two layers, as LPIPS; block2_pool: of plain features, one layer."""
    perceptual_crop: Annotated[int, Field(ge=STRIDE)] = 128
    """Pixels per side of the random window of each crop that goes through VGG19, the slowest part."""
    feature_matching_coeff: Weight = 0.25
    """Weight of the L1 distance between the discriminators' features of x and of G(x)."""
    pattern_coeff: Weight = 100.0
    """Weight of the error that neighbouring blocks have in common."""
    vgg19_weights: str = "imagenet"
    """"imagenet", which Keras downloads, or the name of the file given to --perceptual."""

    # Training
    steps: Positive = 150_000
    """Number of optimizer steps."""
    adversarial_from: Step = 100_000
    """Step at which the adversarial, feature matching and pattern terms start. With `realism`, it is where the second
    stage starts: from there on, only the prior and what realism adds to the generator are trained."""
    discriminator_head_start: Step = 150
    """With `realism`, steps of the second stage in which only the discriminators and the prior are trained."""
    crop_size: Annotated[int, Field(ge=STRIDE, multiple_of=STRIDE)] = 256
    """Pixels per side of the random training crops."""
    batch_size: Positive = 8
    """Crops per step."""
    optimizer: Literal["muon", "adam"] = "muon"
    """Optimizer of the encoder, the centers and the generator; the prior and the discriminators use Adam."""
    learning_rate: Weight = 1e-3
    """Learning rate of the encoder, the centers and the generator."""
    realism_learning_rate: Weight = 2e-3
    """Learning rate of what realism adds, in the second stage, where all learning rates rise and fall once more."""
    prior_learning_rate: Weight = 2e-3
    """Learning rate of the entropy coder's prior."""
    discriminator_learning_rate: Weight = 8e-4
    """Learning rate of the discriminators."""
    final_learning_rate_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Share of the learning rates that remains at the end of their cosine schedule; 1: constant rates."""
    warmup_steps: Step = 200
    """Steps over which all learning rates rise linearly."""
    adam_beta_1: Annotated[float, Field(ge=0, le=0.9999)] = 0.9
    """Beta 1 of Adam. Muon uses Adam for everything except the kernels of convolutions."""
    gradient_clip: Weight = 1.0
    """Largest global norm of a gradient; 0: no clipping."""
    ema_decay: Annotated[float, Field(ge=0, le=0.999999)] = 0.999
    """Decay of the weights' exponential moving average (EMA), which inference uses."""
    precision: Precision = "float32"
    """Precision of the layers' arithmetic."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the initial weights, the split, the order of the images, and the crops."""
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Share of the images used for training; the others are for validation."""
    validation_images: Step = 16
    """Number of images used in each validation."""
    validation_max_side: Annotated[int, Field(ge=STRIDE)] = 768
    """Largest side of validation images in pixels; larger ones are cropped to their middle."""
    validate_every: Positive = 2_000
    """Steps between validations."""
    save_every: Positive = 500
    """Steps between checkpoints."""
    log_every: Positive = 50
    """Steps between entries in TensorBoard."""

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        for name in ("encoder_widths", "generator_widths"):
            if self.stem_block * 2 ** (len(getattr(self, name)) - 1) != STRIDE:
                raise ValueError(
                    f"{name} needs one width for the first layer and one for each factor of 2 in size: "
                    f"stem_block * 2^(number of widths - 1) must be {STRIDE}"
                )
        if self.finish_width and self.stem_block % 2:
            raise ValueError(f"finish_width needs an even stem_block, not {self.stem_block}")
        if self.padding == "reflection" and self.stem_kernel % 2 == 0:
            raise ValueError(f"padding by reflection needs an odd stem_kernel, not {self.stem_kernel}")
        if self.rate_target and not self.rate_coeff:
            raise ValueError("rate_target needs a rate_coeff above 0 to start from")
        if self.levels > 1 and self.rate_target > self.highest_rate_target:
            raise ValueError("rate_target is the lowest level's, so it cannot be above highest_rate_target")
        if self.default_level > self.levels:
            raise ValueError(f"default_level cannot be above the number of levels, {self.levels}")
        return self

    @property
    def rate_targets(self) -> tuple[float, ...]:
        """The target rate of each level in bits per pixel, from level 1 on; 0: none."""
        ratio = self.highest_rate_target / self.rate_target if self.rate_target else 1.0
        return tuple(self.rate_target * ratio ** (i / max(1, self.levels - 1)) for i in range(self.levels))

    def replace(self, /, **changes: Any) -> Config:
        """Returns a copy with some settings changed.

        Raises:
            ValueError: a setting is unknown or out of range; the message is one line.
        """
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in {**dict(self), **changes}.items()}
        try:
            return Config.model_validate(values)
        except ValidationError as error:
            raise ValueError(_one_line(error)) from None

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as JSON types."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Config:
        """Rebuilds the settings from `to_json`'s output.

        Training settings that an older version did not have get their defaults. Architecture settings are required.

        Raises:
            ValueError: a setting is missing, unknown or out of range; the message is one line.
        """
        missing = sorted(set(ARCHITECTURE) - set(values))
        if missing:
            raise ValueError(f"missing setting: {', '.join(missing)}")
        return cls().replace(**values)

    def other_architecture(self, other: Config) -> str | None:
        """Returns the first setting of the networks that differs from another's, or None if weights fit both."""
        return next((name for name in ARCHITECTURE if getattr(self, name) != getattr(other, name)), None)

    def override(self, assignments: list[str]) -> Config:
        """Returns a copy changed by `name=value` strings, whose values are JSON or bare words.

        Raises:
            ValueError: a string has no `=`, or a setting is unknown or out of range; the message is one line.
        """
        changes = {}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise ValueError(f"a setting must be given as name=value, not {assignment!r}")
            try:
                changes[name] = json.loads(text)
            except json.JSONDecodeError:
                changes[name] = text
        return self.replace(**changes)


# Settings that shape the networks or the meaning of the latents. The fingerprint depends on them.
ARCHITECTURE = (
    "levels",
    "realism",
    "realism_rank",
    "latent_channels",
    "centers",
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
    "padding",
)

# Settings that cannot change while a model is trained: those, and what shapes the training state. The states of two
# optimizers have the same shapes, but different meanings.
FIXED = (
    *ARCHITECTURE,
    "optimizer",
    "discriminator_scales",
    "discriminator_widths",
    "discriminator_norm",
    "discriminator_sees_latents",
)


def _one_line(error: ValidationError) -> str:
    """Returns the first error as one line that names the setting."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return f"unknown setting: {name}"
    if first["type"] == "value_error":  # from `_check_combinations`
        return str(first["ctx"]["error"])
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{name}: {message}" if first["type"] == "too_short" else f"{name}: {message}, not {first['input']!r}"
