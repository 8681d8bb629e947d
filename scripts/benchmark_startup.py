"""How long does a user wait for ``--help``, for the message about a wrong value, and for the first training step?

Start it as ``python scripts/benchmark_startup.py``. Training is on the CPU and not compiled; its first step is done when its
checkpoint exists.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from measuring import header, write_json

from pdenet_repro.system.arguments import whole_number

PROGRAM = [sys.executable, "-m", "pdenet_repro"]


def until_it_ends(*words: str) -> float:
    """Return the seconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run([*PROGRAM, *words], capture_output=True)
    return time.perf_counter() - begin


def until_the_first_step(*words: str) -> float:
    """Return the seconds to the first checkpoint of a run that saves after each step; the run is stopped there."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ["data=shapes", "device=cpu", "performance=eager", "checkpoint.seconds=0", f"output_root={folder}"]
        begin = time.perf_counter()
        with subprocess.Popen(
            [*PROGRAM, *settings, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            while process.poll() is None and not list(Path(folder).rglob("checkpoints/*.safetensors")):
                time.sleep(0.01)
            seconds = time.perf_counter() - begin
            if process.poll() is not None:
                sys.exit(f"error: the run ended before its first step: {process.communicate()[0].decode()[-300:]}")
            process.kill()
            process.communicate()
    return seconds


def main() -> None:
    """Measure, print and write the numbers; a first round fills the system's file cache and is not counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=whole_number(1), default=5)
    runs = ["network=tiny schedule=demo", "network=paper schedule=paper"]
    parser.add_argument("--runs", nargs="+", default=runs, help="settings of runs, each in quotes")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks/startup.json"))
    given = parser.parse_args()
    origin = header(torch.device("cpu"))
    waits: dict[str, Callable[[], float]] = {
        "--help": lambda: until_it_ends("--help"),
        "refusal of network.steps=0": lambda: until_it_ends("network.steps=0"),
    }
    for words in given.runs:
        waits[f"first step of {words}"] = partial(until_the_first_step, *words.split())
    seconds = {name: [wait() for _ in range(given.repeats + 1)][1:] for name, wait in waits.items()}
    print("| | median s | largest |\n|---|---:|---:|")
    for name, times in seconds.items():
        print(f"| {name} | {median(times):.1f} | {max(times):.1f} |")
    write_json(given.output, **origin, seconds=seconds)


if __name__ == "__main__":
    main()
