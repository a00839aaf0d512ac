"""What changes with the step: the stage, learning rates, the temperature, and the decay of the averaged weights."""

from __future__ import annotations

import math

from compressgan.config import Config


def in_realism_stage(config: Config, step: int) -> bool:
    """Returns whether a step belongs to the second stage, in which only realism is trained."""
    return config.realism and step >= config.adversarial_from


def learning_rate(config: Config, step: int) -> float:
    """Returns the learning rate of the networks."""
    if not in_realism_stage(config, step):
        return config.learning_rate * learning_rate_factor(config, step)
    waiting = step < config.adversarial_from + config.discriminator_head_start
    return 0.0 if waiting else config.realism_learning_rate * learning_rate_factor(config, step)


def learning_rate_factor(config: Config, step: int) -> float:
    """Returns the factor of all learning rates: a linear warm-up, then a cosine decay, anew in each stage."""
    start, end = 0, config.steps
    if in_realism_stage(config, step):
        start = config.adversarial_from
    elif config.realism:
        end = min(end, config.adversarial_from)
    warmup = min(1.0, (step - start + 1) / max(1, config.warmup_steps))
    done = (step - start - config.warmup_steps) / max(1, end - start - config.warmup_steps)
    share = config.final_learning_rate_share
    return warmup * (share + (1 - share) * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done)))))


def temperature(config: Config, step: int) -> float:
    """Returns the temperature of the soft assignment, which changes geometrically while the encoder is trained."""
    end = min(config.steps, config.adversarial_from) if config.realism else config.steps
    done = min(1.0, step / max(1, end))
    return config.temperature * (config.final_temperature / config.temperature) ** done


def average_decay(config: Config, step: int) -> float:
    """Returns the decay of the averaged weights.

    At the start of a stage they must decay faster than `ema_decay`, or the weights that it begins with would stay in
    them for long.
    """
    done = step - config.adversarial_from if in_realism_stage(config, step) else step
    return min(config.ema_decay, (1 + done) / (10 + done))
