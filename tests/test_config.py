from __future__ import annotations

import dataclasses
import json

from settings import ARCHITECTURE, PRESETS, Config

import pytest


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_json_round_trip(config: Config) -> None:
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_unknown_and_missing_keys_are_refused() -> None:
    values = Config().to_json()
    with pytest.raises(ValueError, match="unknown setting: colour"):
        Config.from_json({**values, "colour": 1})
    del values["levels"]
    with pytest.raises(ValueError, match="missing setting: levels"):
        Config.from_json(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": 1}, "levels must be at least 2"),
        ({"levels": 2.5}, "levels must be int"),
        ({"batch_size": True}, "batch_size must be int"),
        ({"norm": "batch"}, "norm must be one of none, channel, instance"),
        (
            {"encoder_widths": (8,) * 5, "generator_widths": (8,) * 5, "stem_block": 1},
            "finish_width needs an even stem",
        ),
        ({"encoder_widths": (8, 8)}, "encoder_widths needs one width"),
        ({"generator_widths": ()}, "generator_widths must be a list of integers"),
        ({"crop_size": 100}, "crop_size must be a multiple of 16"),
        ({"train_fraction": 0.0}, "train_fraction"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number"),
        ({"perceptual_coeff": -1}, "perceptual_coeff must be at least 0"),
        ({"ema_decay": 1.5}, "ema_decay must be at most"),
    ],
)
def test_impossible_values_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config().replace(**change)


def test_overrides() -> None:
    config = Config().override(["batch_size=3", "norm=channel", "generator_widths=[8,8,4]", "learning_rate=1e-5"])
    assert (config.batch_size, config.norm, config.generator_widths) == (3, "channel", (8, 8, 4))
    assert config.learning_rate == 1e-5
    with pytest.raises(ValueError, match="name=value"):
        Config().override(["batch_size"])
    with pytest.raises(ValueError, match="unknown setting: batchsize"):
        Config().override(["batchsize=3"])


def test_architecture_names_fields() -> None:
    assert set(ARCHITECTURE) <= {field.name for field in dataclasses.fields(Config)}
