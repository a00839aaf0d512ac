"""Kills a training run with SIGKILL at random moments, resumes it each time, and compares it with an uninterrupted run.

python benchmarks/kill_and_resume.py --kills 20
"""

from __future__ import annotations

import clone

# isort: split
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from compressgan.cli import run
from compressgan.cli.options import make_parser
from compressgan.errors import CompressGANError
from compressgan.networks.loading import import_tensorflow
from compressgan.training.guards import STATE_FILE, has_state, state_folder

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # not a variable


def start(folder: Path, steps: int) -> subprocess.Popen:
    command = [sys.executable, clone.ROOT / "src" / "train.py", "-r", folder, "-path", clone.ROOT / "data" / "example"]
    command += [] if has_state(folder) else ["--preset", "tiny"]
    command += ["--steps", steps, "--index", folder, "--logdir", folder / "log", "--strategy", "one"]
    command += ["--set", f"adversarial_from={steps // 2}", "save_every=7", "validate_every=50"]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def saved_step(folder: Path) -> int:
    state = state_folder(folder) / STATE_FILE
    return int(state.read_text().split("ckpt-")[1].split('"')[0]) if has_state(folder) else 0


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import_tensorflow()
    import numpy as np
    import tensorflow as tf

    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        alone, killed = Path(temporary) / "alone", Path(temporary) / "killed"
        if start(alone, arguments.steps).wait():
            raise CompressGANError("the uninterrupted run failed")
        kills = 0
        while kills < arguments.kills and saved_step(killed) < arguments.steps:
            process = start(killed, arguments.steps)
            try:
                if process.wait(timeout=rng.uniform(3, 15)):
                    raise CompressGANError("the run could not be resumed")
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                print(f"killed {kills} times; the last checkpoint is from step {saved_step(killed)}", flush=True)
        if start(killed, arguments.steps).wait():
            raise CompressGANError("the run could not be resumed")
        readers = [tf.train.load_checkpoint(str(state_folder(folder))) for folder in (alone, killed)]
        names, others = (set(reader.get_variable_to_shape_map()) - {GRAPH} for reader in readers)
        if names != others:
            raise CompressGANError("the training states hold different variables")
        for name in sorted(names):
            a, b = (reader.get_tensor(name) for reader in readers)
            if not np.array_equal(a, b):
                raise CompressGANError(f"{name} differs")
    print(f"killed {kills} times in {arguments.steps} steps: all {len(names)} variables are bit-for-bit equal")
    return 0


if __name__ == "__main__":
    run(main)
