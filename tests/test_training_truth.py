"""What training saves, validates and logs is what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from compressgan.codec import Codec
from compressgan.config import Config
from compressgan.evaluation.metrics import psnr
from compressgan.images.pixels import to_float
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.networks.model import CompressGAN
from compressgan.training.data import validation_photos
from compressgan.training.schedules import learning_rate
from compressgan.training.train_step import TrainStep
from compressgan.training.trainer import Trainer
from compressgan.training.validation import Validator
from conftest import make_photo, make_trainer, random_model


def trained_once(config: Config, folder: Path, paths: list[str], test_paths: list[str]) -> tuple[Trainer, list[dict]]:
    """Trains, and returns the trainer and the terms of every step as the training step returned them."""
    trainer = make_trainer(config, folder)
    terms: list[dict] = []
    train_step = trainer.train_step

    class Recording(TrainStep):
        def __call__(self, photos: tf.Tensor, step: int) -> dict[str, tf.Tensor]:
            result = super().__call__(photos, step)
            terms.append({name: value.numpy() for name, value in result.items()})
            return result

    train_step.__class__ = Recording
    trainer.fit(paths, test_paths)
    return trainer, terms


def test_the_checkpoint_holds_the_averaged_weights(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    trainer, _ = trained_once(tiny.replace(steps=6, ema_decay=0.99, learning_rate=0.01), tmp_path, paths, paths)
    saved = CompressGAN.load(tmp_path).get_weights()
    assert not all(np.allclose(a, b, atol=1e-3) for a, b in zip(saved, trainer.model.get_weights(), strict=True))
    for found, average in zip(saved, trainer.ema.get_weights(), strict=True):
        np.testing.assert_allclose(found, average, rtol=2**-10, atol=1e-6)  # half precision


def test_validation_measures_the_averaged_weights(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    config = tiny.replace(steps=6, validate_every=6, ema_decay=0.99, learning_rate=0.01, distortion_coeff=3.0)
    trainer, _ = trained_once(config, tmp_path, paths, paths)
    photos = validation_photos(paths, config)
    by_model = {}
    for name in ("ema", "model"):
        codec = Codec(TensorFlowNetworks(getattr(trainer, name)), effort=0)
        figures, errors = {}, []
        for level in range(1, 9):
            files = [codec.compress(photo, level) for photo in photos]
            pairs = [(photo, codec.decompress(file, 0.0)) for photo, file in zip(photos, files, strict=True)]
            figures[f"level{level}/psnr"] = np.mean([psnr(*pair) for pair in pairs])
            errors += [np.mean((to_float(x) - to_float(y)) ** 2) for x, y in pairs]
        by_model[name] = {**figures, "psnr": figures["level5/psnr"], "score": 3.0 * np.mean(errors)}
    written = scalars(tmp_path / "log")
    for name, value in by_model["ema"].items():
        assert written[f"validation/{name}"] == {6: pytest.approx(value, rel=1e-5)}
        assert by_model["model"][name] != pytest.approx(value, rel=1e-4)
    assert float(trainer.best_score) == pytest.approx(by_model["ema"]["score"], rel=1e-5)
    for found, average in zip(
        CompressGAN.load(tmp_path / "best").get_weights(), trainer.ema.get_weights(), strict=True
    ):
        np.testing.assert_allclose(found, average, rtol=2**-10, atol=1e-6)


class MeanDifference:
    """In place of the VGG19 term."""

    def distance(self, photo: np.ndarray, reconstruction: np.ndarray) -> float:
        return float(np.mean(np.abs(to_float(photo) - to_float(reconstruction))))


def test_the_score_counts_a_free_rate_and_features_at_realism_1(tiny: Config) -> None:
    config = tiny.replace(perceptual_coeff=0.5, rate_target=0.0, rate_coeff=2.0)
    model, photos = random_model(config), [make_photo(48, 64), make_photo(64, 32)]
    found = Validator(model, photos, MeanDifference())().figures
    codec, errors, rates = Codec(TensorFlowNetworks(model), effort=0), [], []
    for level in range(1, 9):
        for photo in photos:
            file = codec.compress(photo, level)
            rates.append(8 * len(file) / photo[..., 0].size)
            errors.append(np.mean((to_float(photo) - to_float(codec.decompress(file, 0.0))) ** 2))
    features = [np.mean(np.abs(to_float(x) - to_float(codec.decompress(codec.compress(x), 1.0)))) for x in photos]
    assert found["perceptual"] == pytest.approx(np.mean(features), rel=1e-5)
    expected = 12 * np.mean(errors) + 2 * np.mean(rates) + 0.5 * np.mean(features)
    assert found["score"] == pytest.approx(expected, rel=1e-5)


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Returns the scalars in TensorBoard's event files: value by name and step."""
    found: dict[str, dict[int, float]] = {}
    for file in folder.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars" or value.tag in found:
                    found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_tensorboard_shows_what_was_trained(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    config = tiny.replace(
        steps=6,
        batch_size=8,
        adversarial_from=3,
        discriminator_head_start=0,
        log_every=2,
        warmup_steps=2,
        validate_every=3,
        rate_coeff=0.5,
    )
    trainer, terms = trained_once(config, tmp_path, paths, paths)
    written = scalars(tmp_path / "log")
    for name in terms[-1]:
        if not terms[-1][name].ndim:
            values = written[name if "/" in name else f"loss/{name}"]
            expected = {step: terms[step - 1].get(name) for step in (2, 4, 6) if name in terms[step - 1]}
            assert values == pytest.approx(expected, rel=1e-6), name
    assert terms[2]["adversarial"] == 0 < terms[3]["adversarial"]
    for level in range(8):
        rates, targets, coeffs, psnrs = ({} for _ in range(4))
        for step in (2, 4, 6):  # each value is the mean since the last one, over the level's photos
            both = terms[step - 2 : step]
            count, rate, error = (
                sum(own[f"levels/{name}"][level] for own in both) for name in ("photos", "rate", "distortion")
            )
            targets[step], coeffs[step] = config.rate_targets[level], both[-1]["levels/rate_coeff"][level]
            if count:
                rates[step], psnrs[step] = rate / count, 10 * np.log10(4 * count / error)
        for name, expected in (("rate", rates), ("rate_target", targets), ("rate_coeff", coeffs), ("psnr", psnrs)):
            assert written[f"level{level + 1}/{name}"] == pytest.approx(expected, rel=1e-5), (level, name)
    rates = {step: learning_rate(config, step - 1) for step in (2, 4, 6)}
    assert written["learning_rate"] == pytest.approx(rates, rel=1e-6)
    assert set(written["images_per_second"]) == {2, 4, 6}
    centers = [written[f"centers/{i}"][6] for i in range(config.centers)]
    np.testing.assert_allclose(centers, trainer.ema.quantizer.centers, rtol=1e-6)
    codec = Codec(TensorFlowNetworks(trainer.ema), effort=0)
    photos = validation_photos(paths, config)
    symbols = np.concatenate([codec.symbols(photo).ravel() for photo in photos])
    share = np.bincount(symbols) / symbols.size
    share = share[share > 0]
    assert written["symbols/entropy_bits"][6] == pytest.approx(-np.sum(share * np.log2(share)), abs=1e-5)
    rates = [8 * len(codec.compress(photo)) / (photo.size / 3) for photo in photos]
    assert written["validation/bpp"][6] == pytest.approx(np.mean(rates), rel=1e-5)

    pictures = {}
    for file in (tmp_path / "log").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.tag.startswith("original_and_reconstructions/") and event.step == 6:
                    pictures[value.tag[-1]] = tf.io.decode_png(tf.make_ndarray(value.tensor)[2]).numpy()
    for i, photo in enumerate(photos):
        data = codec.compress(photo)
        row = np.concatenate([photo, *(codec.decompress(data, realism) for realism in (0.0, 0.5, 1.0))], axis=1)
        np.testing.assert_array_equal(pictures[str(i)], row)
