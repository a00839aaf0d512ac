from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from compressgan.checkpoint import read_config
from compressgan.cli.train import warn_of_rising_learning_rate
from compressgan.codec import Codec
from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.networks.model import CompressGAN
from compressgan.training.data import validation_photos
from compressgan.training.guards import deferred_signals, locked
from compressgan.training.index import TEST_INDEX, TRAIN_INDEX, read_index
from compressgan.training.train_step import TrainStep
from compressgan.training.trainer import Trainer, TrainingEnded
from compressgan.training.validation import Validator
from conftest import make_trainer


def weights(trainer: Trainer) -> list[np.ndarray]:
    trained = trainer.train_step
    networks = (trained.model, trained.ema, trained.discriminator)
    optimizers = (
        trained.optimizer,
        trained.realism_optimizer,
        trained.prior_optimizer,
        trained.discriminator_optimizer,
    )
    variables = [v for part in networks for v in part.weights] + [v for o in optimizers for v in o.variables]
    return [v.numpy() for v in variables]


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("saves", [1, 2], ids=["in the first stage", "in the second stage"])
def test_resuming_changes_nothing(tmp_path: Path, tiny: Config, paths: list[str], saves: int) -> None:
    """Eight steps across both stages equal three plus five, or six plus two, bit for bit: networks and optimizers."""
    config = tiny.replace(
        steps=8, adversarial_from=5, discriminator_head_start=1, save_every=3, validate_every=100, batch_size=8
    )
    whole = make_trainer(config, tmp_path / "whole")
    whole.fit(paths, [])

    class Stopped(BaseException):
        pass

    first = make_trainer(config, tmp_path / "parts")
    save, saved = first.save, []

    def save_and_stop() -> None:
        save()
        saved.append(int(first.step))
        if len(saved) == saves:
            raise Stopped

    first.save = save_and_stop
    with pytest.raises(Stopped):
        first.fit(paths, [])
    second = make_trainer(config, tmp_path / "parts")
    assert int(second.step) == 3 * saves
    second.fit(paths, [])
    assert_equal(weights(second), weights(whole))


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    trainer = make_trainer(tiny, tmp_path)
    with locked(tmp_path / "training"), pytest.raises(CompressGANError, match="another run is training here"):
        trainer.fit(paths, [])
    assert int(trainer.step) == 0


@pytest.mark.usefixtures("eagerly")
def test_a_run_that_another_has_continued_meanwhile_does_not_undo_that(
    tmp_path: Path, tiny: Config, paths: list[str]
) -> None:
    first, second = (make_trainer(tiny.replace(steps=steps), tmp_path) for steps in (2, 3))
    first.fit(paths, [])
    with pytest.raises(CompressGANError, match="another process has just continued this run"):
        second.fit(paths, [])
    assert int(make_trainer(tiny.replace(steps=3), tmp_path).step) == 2


@pytest.mark.usefixtures("eagerly")
def test_photos_missing_for_a_while_are_trained_on_later(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    make_trainer(tiny.replace(steps=1), tmp_path).fit(paths, paths[:2])
    away = Path(paths[0]).rename(tmp_path / "away")
    make_trainer(tiny.replace(steps=2), tmp_path).fit(paths, paths[:2])
    assert read_index(tmp_path / "training" / TRAIN_INDEX) == paths
    assert read_index(tmp_path / "training" / TEST_INDEX) == paths[:2]
    away.rename(paths[0])


def test_a_rate_weight_that_follows_a_target_goes_on_unless_it_is_set(tmp_path: Path, tiny: Config) -> None:
    config = tiny.replace(rate_coeff=0.5)
    first = make_trainer(config, tmp_path)
    reached = np.linspace(0.1, 0.8, 8).astype(np.float32)
    first.model.rate_coeffs.assign(reached)
    first.save()
    np.testing.assert_array_equal(make_trainer(config, tmp_path).model.rate_coeffs, reached)
    np.testing.assert_array_equal(make_trainer(config.replace(rate_coeff=2.0), tmp_path).model.rate_coeffs, [2.0] * 8)
    without_target = config.replace(rate_target=0.0)
    np.testing.assert_array_equal(make_trainer(without_target, tmp_path).model.rate_coeffs, [0.5] * 8)


@pytest.mark.usefixtures("eagerly")
def test_the_second_stage_cannot_be_undone(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    config = tiny.replace(steps=6, adversarial_from=4, save_every=3, validate_every=100)
    make_trainer(config, tmp_path).fit(paths, [])
    for name, value in (("adversarial_from", 3), ("adversarial_from", 10), ("rate_coeff", 2.0), ("rate_target", 0.0)):
        with pytest.raises(CompressGANError, match=f"in the second stage of training, {name} cannot change"):
            make_trainer(config.replace(steps=20, **{name: value}), tmp_path)


def test_weights_without_a_rate_start_anew(tmp_path: Path, one_rate: Config) -> None:
    make_trainer(one_rate, tmp_path / "first").save()
    config = one_rate.replace(rate_coeff=0.5, rate_target=0.05)
    second = Trainer(config, tmp_path / "second", tmp_path / "log", init_from=tmp_path / "first")
    np.testing.assert_array_equal(second.model.rate_coeffs, [0.5])


def test_the_best_score_is_forgotten_where_the_score_means_something_else(tmp_path: Path, tiny: Config) -> None:
    first = make_trainer(tiny, tmp_path)
    first.best_score.assign(0.5)
    first.save()
    assert float(make_trainer(tiny.replace(learning_rate=1e-4), tmp_path).best_score) == 0.5
    for changes in ({"distortion_coeff": 20.0}, {"validation_images": 1}):
        assert float(make_trainer(tiny.replace(**changes), tmp_path).best_score) == np.inf


@pytest.mark.usefixtures("eagerly")
def test_the_best_score_is_forgotten_for_other_photos(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    scores = []
    for steps, validated in ((1, paths[:2]), (2, paths[:2]), (3, paths[2:])):
        trainer = make_trainer(tiny.replace(steps=steps), tmp_path)
        if steps == 1:
            trainer.best_score.assign(0.5)
        trainer.fit(paths, validated)
        scores.append(float(trainer.best_score))
    assert scores == [0.5, 0.5, np.inf]


@pytest.mark.usefixtures("eagerly")
def test_settings_changed_on_going_on_survive_a_kill(
    tmp_path: Path, tiny: Config, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.replace(steps=2, rate_coeff=0.5)
    first = make_trainer(config, tmp_path)
    first.best_score.assign(0.5)
    first.fit(paths, [])
    changed = config.replace(steps=4, rate_coeff=2.0, distortion_coeff=20.0)

    class Killed(BaseException):
        pass

    def kill(*arguments: object) -> None:
        raise Killed

    second = make_trainer(changed, tmp_path)
    monkeypatch.setattr(second, "_loop", kill)
    with pytest.raises(Killed):
        second.fit(paths, [])
    third = make_trainer(changed, tmp_path)
    assert (int(third.step), float(third.model.rate_coeffs[7]), float(third.best_score)) == (2, 2.0, np.inf)


def test_the_best_checkpoint_is_kept(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    """A validation with a worse score does not replace the best checkpoint."""
    config = tiny.replace(steps=30, adversarial_from=30, validate_every=10, learning_rate=3e-3, rate_coeff=1.0)
    trainer = make_trainer(config, tmp_path)
    trainer.fit(paths, paths)
    best = float(trainer.best_score)
    assert np.isfinite(best)
    kept = CompressGAN.load(tmp_path / "best").get_weights()
    trainer.ema.generator.get_layer("head").bias.assign_add([5.0] * 48)
    trainer._validate(40, Validator(trainer.ema, validation_photos(paths, config), None), tqdm(disable=True))
    assert float(trainer.best_score) == best
    assert_equal(kept, CompressGAN.load(tmp_path / "best").get_weights())


def test_a_run_can_start_from_another_checkpoint(tmp_path: Path, tiny: Config, checkpoint: Path) -> None:
    trainer = Trainer(tiny, tmp_path / "run", tmp_path / "log", init_from=checkpoint)
    source = CompressGAN.load(checkpoint)
    for model in (trainer.model, trainer.ema):
        assert_equal(source.get_weights(), model.get_weights())
    for name, value, before in (("latent_channels", 6, 4), ("latent_bound", 4.0, 2.5)):
        other = tiny.replace(**{name: value})
        with pytest.raises(CompressGANError, match=f"^{checkpoint}: {name} is {before}, but {value} in the new run"):
            Trainer(other, tmp_path / "other", tmp_path / "log", init_from=checkpoint)


@pytest.mark.usefixtures("eagerly")
def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        config = tiny.replace(steps=4, save_every=4, validate_every=100)
        trainer = make_trainer(config, disk / "run")
        trainer.fit(paths, [])
        good = weights(trainer)
        loaded = CompressGAN.load(disk / "run").get_weights()
        free = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(bytes(free - 100_000))
        trainer.config = config = config.replace(steps=8)
        with pytest.raises(CompressGANError, match=r"cannot be written.*"):
            trainer.fit(paths, [])
        again = make_trainer(config, disk / "run")
        assert int(again.step) == 4
        assert_equal(good, weights(again))
        assert_equal(loaded, CompressGAN.load(disk / "run").get_weights())
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_validation_logs_and_checkpoint_serves_inference(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    config = tiny.replace(steps=4, adversarial_from=2, validate_every=2, log_every=1, save_every=2)
    make_trainer(config, tmp_path).fit(paths, paths)
    tags, kinds = set(), set()
    for file in (tmp_path / "log").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            tags |= {value.tag for value in event.summary.value}
            kinds |= {value.metadata.plugin_data.plugin_name for value in event.summary.value}
    terms = ("generator", "distortion", "perceptual", "adversarial", "feature_matching", "discriminator")
    assert {f"loss/{name}" for name in terms} <= tags
    assert {f"validation/{name}" for name in ("psnr", "ms_ssim", "bpp", "score", "best")} <= tags
    assert {"latents", "symbols", "symbols/entropy_bits", "centers/0", "gradient_norm/generator", "config"} <= tags
    assert "original_and_reconstructions/0" in tags
    assert {"scalars", "images", "histograms", "text", "hparams"} <= kinds
    assert read_config(tmp_path)[0] == config
    photo = np.zeros((30, 40, 3), np.uint8)
    codec = Codec.load(tmp_path)
    assert codec.decompress(codec.compress(photo)).shape == photo.shape


@pytest.mark.usefixtures("eagerly")
def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    tmp_path: Path, tiny: Config, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.replace(steps=6, save_every=2, log_every=1, validate_every=100)
    trainer = make_trainer(config, tmp_path)
    train_step, poison = TrainStep.__call__, 0

    def poisoned(self: TrainStep, batch: tuple[tf.Tensor, tf.Tensor], step: int) -> dict[str, tf.Tensor]:
        photos, level = batch
        return train_step(self, (photos * (float("nan") if step == poison else 1.0), level), step)

    monkeypatch.setattr(TrainStep, "__call__", poisoned)
    with pytest.raises(CompressGANError, match=r"step 1: \w+ is nan; nothing was saved before"):
        trainer.fit(paths, [])
    trainer, poison = make_trainer(config, tmp_path), 3
    with pytest.raises(CompressGANError, match=r"step 4: \w+ is nan; the last good checkpoint is kept"):
        trainer.fit(paths, [])
    again = make_trainer(config, tmp_path)
    assert int(again.step) == 2
    assert all(np.isfinite(v).all() for v in weights(again))


def test_state_of_other_settings_is_refused(tmp_path: Path, tiny: Config) -> None:
    make_trainer(tiny, tmp_path).save()
    with pytest.raises(CompressGANError, match="damaged, or made with other settings"):
        make_trainer(tiny.replace(generator_blocks=3), tmp_path)


@pytest.mark.usefixtures("eagerly", "usual_signals")
def test_a_signal_lets_the_step_end_and_is_saved_with_it(
    tmp_path: Path, tiny: Config, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is interrupted by Ctrl-C in the middle of a step and resumed equals an uninterrupted run."""
    config = tiny.replace(steps=6, adversarial_from=6, validate_every=100)
    whole = make_trainer(config, tmp_path / "whole")
    whole.fit(paths, [])
    train_step = TrainStep.__call__

    def interrupted(self: TrainStep, photos: tf.Tensor, step: int) -> dict[str, tf.Tensor]:
        terms = train_step(self, photos, step)
        if step == 3:
            signal.raise_signal(signal.SIGINT)
        return terms

    monkeypatch.setattr(TrainStep, "__call__", interrupted)
    with pytest.raises(TrainingEnded):
        make_trainer(config, tmp_path / "parts").fit(paths, [])
    monkeypatch.undo()
    again = make_trainer(config, tmp_path / "parts")
    assert int(again.step) == 4
    again.fit(paths, [])
    assert_equal(weights(whole), weights(again))


def test_a_background_job_keeps_ignoring_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_signals() as received:
            signal.raise_signal(signal.SIGINT)
            assert not received
            signal.raise_signal(signal.SIGTERM)
            assert received == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("eagerly")
def test_a_damaged_training_state_is_not_overwritten(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    make_trainer(tiny.replace(steps=2), tmp_path).fit(paths, [])
    for text in ("", "nonsense"):
        (tmp_path / "training" / "checkpoint").write_text(text)
        with pytest.raises(CompressGANError, match="damaged"):
            make_trainer(tiny, tmp_path)


def test_a_learning_rate_that_rises_again_is_said(one_rate: Config, caplog: pytest.LogCaptureFixture) -> None:
    finished = one_rate.replace(steps=1000)
    warn_of_rising_learning_rate(finished, finished, 1000)
    warn_of_rising_learning_rate(finished.replace(steps=900), finished, 800)
    assert caplog.text == ""
    warn_of_rising_learning_rate(finished.replace(steps=2000), finished, 1000)
    assert "the learning rate, 8e-06 at step 1000, rises again to 0.0002" in caplog.text
