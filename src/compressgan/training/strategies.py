"""Distributing training over devices and machines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import tensorflow as tf

from compressgan.errors import CompressGANError, UsageError


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Makes a strategy. This must come before any other use of TensorFlow in the process.

    Args:
        name: "one" device; "mirrored" over all GPUs or, without GPUs, over two halves of the CPU; "multiworker" over
            the machines that the environment variable TF_CONFIG names; or "auto", which chooses what fits the machine.

    Raises:
        UsageError: TF_CONFIG is needed, but missing or wrong.
    """
    if name == "auto":
        several_gpus = len(tf.config.list_physical_devices("GPU")) > 1
        name = "multiworker" if os.environ.get("TF_CONFIG") else "mirrored" if several_gpus else "one"
    if name == "one":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        if tf.config.list_physical_devices("GPU"):
            return tf.distribute.MirroredStrategy()
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    try:
        description = json.loads(os.environ["TF_CONFIG"])
        workers, index = description["cluster"]["worker"], description["task"]["index"]
        if not 0 <= index < len(workers) or description["task"]["type"] != "worker":
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            "--strategy multiworker needs the environment variable TF_CONFIG, for example "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    return tf.distribute.MultiWorkerMirroredStrategy()


def assert_same_step(strategy: tf.distribute.Strategy, step: int, directory: Path) -> None:
    """Checks that all workers start at the same step: a folder that they do not share would mix two trainings.

    Args:
        strategy: of several workers.
        step: at which this worker starts.
        directory: the checkpoint folder.

    Raises:
        CompressGANError: another worker starts at another step.
    """

    @tf.function
    def sums() -> list[tf.Tensor]:
        replica, own = tf.distribute.get_replica_context(), tf.constant(step, tf.float64)
        return [replica.all_reduce("SUM", own), replica.all_reduce("SUM", own * own)]

    total, squares = (float(strategy.experimental_local_results(x)[0]) for x in strategy.run(sums))
    if strategy.num_replicas_in_sync * squares != total * total:
        raise CompressGANError(
            f"{directory}: this worker is at step {step}, another one is not; "
            "all workers need the same checkpoint folder"
        )
