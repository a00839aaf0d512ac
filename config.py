"""Folders, defaults and presets of the commands under `src/`, for you to edit.

Every setting of a preset is described in `src/compressgan/config.py`. A run saves its settings in its checkpoint, so
editing a preset changes new runs only. `python src/train.py --set NAME=VALUE` changes a setting of one run.
"""

from pathlib import Path

from compressgan.cli.project import Project
from compressgan.config import DEFAULT_EFFORT, Config

ROOT = Path(__file__).resolve().parent

# The default. It trains fastest on a CPU, and it allows exact tiling.
COMPACT = Config()

# The paper's layers (appendix A) and the original project's training settings.
PAPER = Config(
    levels=1,
    default_level=1,
    realism=False,
    latent_channels=8,
    centers=5,
    latent_bound=0.0,
    norm="instance",
    padding="reflection",
    initializer="glorot_uniform",
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
    discriminator_norm="instance",
    discriminator_sees_latents=False,
    rate_coeff=0.0,
    rate_target=0.0,
    adversarial_coeff=1.0,
    perceptual_coeff=0.2,
    perceptual_kind="block2_pool",
    perceptual_crop=256,
    feature_matching_coeff=120.0,  # the original's 10 on a sum over 3 scales of 4 layers; here it is their mean
    pattern_coeff=0.0,
    batch_size=4,
    optimizer="adam",
    learning_rate=2e-4,
    discriminator_learning_rate=2e-4,
    steps=200_000,
    adversarial_from=0,
    final_learning_rate_share=1.0,
    warmup_steps=0,
    adam_beta_1=0.5,
    gradient_clip=0.0,
    train_fraction=0.9,
)

# Trains in seconds instead of days, for tests and for trying out the tools.
TINY = Config(
    latent_channels=4,
    encoder_widths=(16, 16, 16),
    encoder_blocks=1,
    generator_widths=(16, 16, 16),
    generator_blocks=1,
    finish_width=4,
    discriminator_widths=(8, 16),
    perceptual_coeff=0.0,
    steps=60,
    adversarial_from=40,
    discriminator_head_start=5,
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
)

PROJECT = Project(
    presets={"compact": COMPACT, "paper": PAPER, "tiny": TINY},
    default_checkpoint=ROOT / "checkpoints" / "default",
    checkpoints=ROOT / "checkpoints",
    indexes=ROOT / "data",
    tensorboard=ROOT / "tensorboard",
    experiments=ROOT / "output" / "experiments",
    effort=DEFAULT_EFFORT,
    preprocess_size=(256, 256),
)
