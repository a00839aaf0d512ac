from __future__ import annotations

import json

import jsonschema
import pytest

from compressgan.config import ARCHITECTURE, Config
from config import PROJECT


@pytest.mark.parametrize("config", PROJECT.presets.values(), ids=PROJECT.presets)
def test_json_round_trip(config: Config) -> None:
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_unknown_and_missing_keys_are_refused() -> None:
    values = Config().to_json()
    with pytest.raises(ValueError, match="unknown setting: colour"):
        Config.from_json({**values, "colour": 1})
    del values["centers"]
    with pytest.raises(ValueError, match="missing setting: centers"):
        Config.from_json(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centers": 1}, "centers: input should be greater than or equal to 2, not 1"),
        ({"centers": 2.5}, "centers: input should be a valid integer, not 2.5"),
        ({"batch_size": True}, "batch_size: input should be a valid integer, not True"),
        ({"norm": "batch"}, "norm: input should be 'none', 'channel' or 'instance', not 'batch'"),
        (
            {"encoder_widths": (8,) * 5, "generator_widths": (8,) * 5, "stem_block": 1},
            "finish_width needs an even stem",
        ),
        ({"encoder_widths": (8, 8)}, "encoder_widths needs one width"),
        ({"generator_widths": ()}, "generator_widths: tuple should have at least 1 item"),
        ({"crop_size": 100}, "crop_size: input should be a multiple of 16, not 100"),
        (
            {"train_fraction": 0.0},
            "train_fraction: input should be greater than 0, not 0.0",
        ),
        ({"learning_rate": float("nan")}, "learning_rate: input should be a finite number, not nan"),
        ({"perceptual_coeff": -1}, "perceptual_coeff: input should be greater than or equal to 0, not -1"),
        ({"distortion_coeff": 0}, "distortion_coeff: input should be greater than 0, not 0"),
        ({"ema_decay": 1.5}, "ema_decay: input should be less than or equal to"),
    ],
)
def test_impossible_values_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Config().replace(**change)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError):
        Config(**change)


def test_overrides() -> None:
    config = Config().override(["batch_size=3", "norm=channel", "generator_widths=[8,8,4]", "learning_rate=1e-5"])
    assert (config.batch_size, config.norm, config.generator_widths) == (3, "channel", (8, 8, 4))
    assert config.learning_rate == 1e-5
    with pytest.raises(ValueError, match="name=value"):
        Config().override(["batch_size"])
    with pytest.raises(ValueError, match="unknown setting: batchsize"):
        Config().override(["batchsize=3"])


def test_architecture_names_fields() -> None:
    assert set(ARCHITECTURE) <= set(Config.model_fields)


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError):
        Config().centers = 7


def test_the_schema_describes_every_setting() -> None:
    schema = Config.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert all(setting["description"] for setting in schema["properties"].values())
    jsonschema.validate(Config().to_json(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**Config().to_json(), "centers": 1}, schema)
