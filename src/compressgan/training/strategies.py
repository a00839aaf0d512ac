"""Distributing training over devices and machines."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from compressgan.errors import UsageError


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
