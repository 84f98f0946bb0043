"""npdiff beside PyTorch: training and sampling of the digit networks, in one sitting.

    python -m benchmarks                      the preset and the shipped network
    python -m benchmarks --preset digits --rounds 9 --json figures.json

Every contender is a process of its own. They take turns, one task at a time, so that a machine
that grows slower grows slower for all; a turn in which other programs used the processors is done
again, up to four times. Medians are printed, and ratios of medians. PyTorch is optional:
pip install torch==2.13.0
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

TASKS = ("train", "infer", "sample")
CONTENDERS = ("npdiff", "torch", "torch-channels-last")
#: Share of the processors' time that others may use during a turn that counts.
FOREIGN = 0.1


def busy() -> float:
    """Seconds of processor time that this machine has spent so far, by whomever."""
    try:
        fields = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return float("nan")
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


class Contender:
    """A process that does what it is told, and what it took."""

    def __init__(self, name: str, preset: str, batch: int, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", name, preset, batch, threads]
        self.name, self.seconds = name, {task: [] for task in TASKS}
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"benchmarks: {name} did not start")

    def turn(self, task: str) -> tuple[float, float]:
        """Seconds a task took, and the share of the processors that others used meanwhile."""
        time.sleep(0.05)
        before = busy()
        self.process.stdin.write(f"{task}\n")
        self.process.stdin.flush()
        wall, cpu = json.loads(self.process.stdout.readline())
        return wall, (busy() - before - cpu) / wall

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(preset: str, batch: int, threads: int, rounds: int, names: list[str]) -> list[dict]:
    """A row for each task and contender."""
    contenders = [Contender(name, preset, batch, threads) for name in names]
    again = 0
    for task in TASKS:
        for contender in contenders:
            contender.turn(task)  # the first time is for the caches
        for _ in range(rounds):
            for contender in contenders:
                for _ in range(4):
                    wall, foreign = contender.turn(task)
                    if not foreign > FOREIGN:
                        break
                    again += 1
                contender.seconds[task].append(wall)
    for contender in contenders:
        contender.close()
    rows = []
    for task in TASKS:
        medians = {c.name: statistics.median(c.seconds[task]) for c in contenders}
        for contender in contenders:
            took = contender.seconds[task]
            rows.append(
                {
                    "preset": preset,
                    "batch": batch,
                    "task": task,
                    "contender": contender.name,
                    "seconds": medians[contender.name],
                    "fastest": min(took),
                    "slowest": max(took),
                    "images_per_second": batch / medians[contender.name],
                    "npdiff_ratio": medians["npdiff"] / medians[contender.name],
                    "turns_done_again": again,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", action="append", help="network (default: both presets)")
    parser.add_argument("--batch", type=int, default=128, help="images a batch (128)")
    parser.add_argument("--threads", type=int, default=2, help="of every contender (2)")
    parser.add_argument("--rounds", type=int, default=5, help="counted turns (5)")
    parser.add_argument("--json", metavar="FILE", help="write the rows to a file as well")
    options = parser.parse_args()
    names = list(CONTENDERS) if importlib.util.find_spec("torch") else ["npdiff"]
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, float32")
    rows = []
    for preset in options.preset or ["digits", "digits-large"]:
        rows += measure(preset, options.batch, options.threads, options.rounds, names)
        print(f"\n{preset}, batch {options.batch}")
        print(f"{'task':8}{'contender':22}{'seconds':>9}{'spread':>16}{'images/s':>10}{'ratio':>7}")
        for row in rows:
            if row["preset"] == preset:
                spread = f"{row['fastest']:.2f}-{row['slowest']:.2f}"
                print(
                    f"{row['task']:8}{row['contender']:22}{row['seconds']:9.2f}{spread:>16}"
                    f"{row['images_per_second']:10.1f}{row['npdiff_ratio']:7.2f}"
                )
        print(f"ratio: npdiff's time over the contender's; {rows[-1]['turns_done_again']} turns "
              "done again because the machine was busy")  # fmt: skip
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
