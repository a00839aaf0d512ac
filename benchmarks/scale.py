"""Measures what compressing many photos on Ray costs: photos a second, memory, and what the calling process adds.

python benchmarks/scale.py -path photos
python benchmarks/scale.py -path photos --workers 1 2 4 --count 60
"""

from __future__ import annotations

import clone

# isort: split
import os
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

from compressgan.cli import run
from compressgan.cli.jobs import find_jobs
from compressgan.cli.options import make_parser
from compressgan.errors import CompressGANError
from compressgan.evaluation.metrics import Figures
from compressgan.evaluation.summary import Summary
from compressgan.images.files import inputs_under
from compressgan.images.reading import is_photo
from photos import fitted

SIZE = (1632, 1224)  # width and height of the photos, pixels: 2 megapixels
LISTED = 20_000  # photos for what the calling process does


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("-path", metavar="DIR", type=Path, required=True, help="folder of source photos")
    parser.add_argument("--workers", metavar="N", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--count", type=int, default=8, help="photos for each worker; default: %(default)s")
    arguments = parser.parse_args()
    if arguments.count < 3:
        parser.error("--count must be at least 3")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = inputs_under(arguments.path, folder, "photos", is_photo)
        fitted(photos, SIZE, arguments.count * max(arguments.workers), folder / "photos")
        print(f"{SIZE[0]} x {SIZE[1]} | photos a second | GiB a worker | GiB of the calling process")
        print("---|---:|---:|---:")
        for kind in ("--bin-only", "all outputs"):
            for workers in arguments.workers:
                figures = compress(folder, workers, arguments.count * workers, kind)
                print(f"{kind}, {workers} workers | " + " | ".join(f"{figure:.3f}" for figure in figures))
        measure_caller(folder)
    return 0


def compress(folder: Path, workers: int, count: int, kind: str) -> tuple[float, float, float]:
    """Returns photos a second once all workers run, and the peak memory in GiB of a worker and of the caller."""
    from ray.cluster_utils import Cluster

    out = Path(tempfile.mkdtemp(dir=folder))
    photos = sorted((folder / "photos").iterdir())[:count]
    os.environ["PYTHONPATH"] = str(clone.ROOT / "src")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": workers, "include_dashboard": False})
    try:
        call = [sys.executable, clone.ROOT / "src" / "inference.py", "-path", *photos, "-o", out]
        call += ["--ray", cluster.address] + ([kind] if kind.startswith("--") else [])
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
        memory = [0.0]
        watch = threading.Thread(target=_watch, args=(process, memory), daemon=True)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        watch.join()
    finally:
        cluster.shutdown()
    if status:
        raise CompressGANError("the call failed")
    ended = sorted(path.stat().st_mtime for path in out.glob("*.bin"))[workers:]  # the first ones loaded the model
    return (len(ended) - 1) / (ended[-1] - ended[0]), memory[0], usage.ru_maxrss / 2**20


def _watch(process: subprocess.Popen, memory: list[float]) -> None:
    """Notes the largest memory of a worker, until the call has ended."""
    while process.returncode is None:
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if (status.parent / "cmdline").read_bytes().startswith(b"ray::_work"):
                    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
                    memory[0] = max(memory[0], int(line.split()[1]) / 2**20)
            except (OSError, ValueError):  # it has ended meanwhile
                continue
        time.sleep(0.2)


def measure_caller(folder: Path) -> None:
    """Prints what a photo costs the calling process: to be found, to wait, and to be in the tables."""
    many = folder / "many"
    for i in range(LISTED):
        if i % 1000 == 0:
            (many / f"{i // 1000:03}").mkdir(parents=True)
        (many / f"{i // 1000:03}" / f"IMG_{i:06}.jpg").touch()
    start = time.perf_counter()
    find_jobs([many], folder / "made", "images", is_photo)
    listing = time.perf_counter() - start
    tracemalloc.start()  # which makes it four times as slow
    jobs = find_jobs([many], folder / "made", "images", is_photo)
    waiting, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (folder / "made").mkdir()
    figures = Figures("", *SIZE, 500_000, 15_000, 33.3, 0.06, 0.145, 26.123, 0.912345, float("nan"), 5, 1.0)
    start = time.perf_counter()
    summary = Summary(folder / "made")
    for job in jobs:
        summary.add(replace(figures, file=job.name))
    summary.write()
    tables = time.perf_counter() - start
    bytes_on_disk = sum(path.stat().st_size for path in (folder / "made").iterdir())
    print("\nthe calling process, for each photo | \n---|---:")
    for what, cost in (
        ("finding it, microseconds", 1e6 * listing / LISTED),
        ("its place in the queue, bytes of memory", waiting / LISTED),
        ("its figures in the tables, microseconds", 1e6 * tables / LISTED),
        ("its figures in the tables, bytes on the disk", bytes_on_disk / LISTED),
    ):
        print(f"{what} | {cost:,.0f}")


if __name__ == "__main__":
    run(main)
