"""A training process killed with SIGKILL, at chosen and at random moments, and resumed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import npdiff
from npdiff.errors import InputError
from npdiff.files import drafts
from npdiff.runs import Config, Run, checkpoint
from npdiff.training import train

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")

# Every disk access ticks before, during and after; the process dies at a given tick.
CHILD = """
import io, os, pathlib, signal, sys
from npdiff.runs import Config
from npdiff.training import train

left = int(sys.argv[3])

def tick():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

class Slow(io.BufferedWriter):
    def write(self, data):
        half = len(data) // 2
        super().write(data[:half])
        self.flush()
        tick()
        super().write(data[half:])
        return len(data)

class SlowRaw(io.FileIO):
    def write(self, data):
        half = len(data) // 2
        super().write(data[:half])
        tick()
        super().write(data[half:])
        return len(data)

def ticking(f):
    def call(*args):
        tick()
        result = f(*args)
        tick()
        return result
    return call

def opened(path, mode="r", buffering=-1, **options):
    if "b" in mode and mode != "rb":
        raw = SlowRaw(path, mode.replace("b", "")) if buffering == 0 else None
        return raw or Slow(io.FileIO(path, mode.replace("b", "")))
    return really_open(path, mode, buffering, **options)

really_open, pathlib.Path.open = pathlib.Path.open, opened
pathlib.Path.replace = ticking(pathlib.Path.replace)
os.fsync = ticking(os.fsync)

for progress in train(Config.read(sys.argv[1]), sys.argv[2], resume=True):
    tick()
"""


@pytest.fixture
def task(tmp_path, config, dataset):
    """A configuration on disk, its data, and the outcome of an undisturbed run."""
    data = tmp_path / "data.npz"
    np.savez(data, images=dataset.images, labels=dataset.labels, classes=dataset.classes)
    config = config.replace(data=str(data), split="all", steps=20, checkpoint_every=3)
    (tmp_path / "config.json").write_text(config.to_json())
    list(train(config, tmp_path / "whole"))
    return tmp_path, outcome(tmp_path / "whole")


def outcome(path):
    named, header = checkpoint.load(path / "state.safetensors", "state")
    untimed = [
        {name: record[name] for name in ("step", "loss", "grad_norm", "learning_rate")}
        for record in Run.open(path).metrics()
    ]
    return header.step, untimed, {name: leaf.tobytes() for name, leaf in named.items()}


def child(path, die_at=0, threads=1):
    package = os.path.dirname(os.path.dirname(npdiff.__file__))
    environment = {**os.environ, "PYTHONPATH": package, "NPDIFF_THREADS": str(threads)}
    command = [sys.executable, "-c", CHILD, path / "config.json", path / "run", str(die_at)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def check_what_is_visible(run):
    """Every named file is complete: only drafts and the last line may be torn."""
    step = 0
    if (run / "config.json").exists():
        Config.read(run / "config.json")
    if (run / "state.safetensors").exists():
        named, header = checkpoint.load(run / "state.safetensors", "state")
        step = header.step
        assert all(np.isfinite(leaf).all() for leaf in named.values())
        steps = [record["step"] for record in Run.open(run).metrics()]
        assert steps[:step] == list(range(1, step + 1))
    if (run / "model.safetensors").exists():
        assert checkpoint.load(run / "model.safetensors", "model")[1].step == 20
    return step


def test_a_run_killed_at_any_disk_access_ends_with_the_same_result(task):
    path, undisturbed = task
    moments, reached, torn = random.Random(0), [0], 0
    for life in range(40):
        process = child(path, die_at=moments.randint(1, 55), threads=1 + life % 2)
        _, errors = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        reached.append(check_what_is_visible(path / "run"))
        torn += bool(drafts(path / "run"))
    assert process.returncode == 0
    assert reached == sorted(reached)
    assert len(reached) > 5
    assert torn > 0  # some life ended amid a write
    assert outcome(path / "run") == undisturbed
    assert sorted(os.listdir(path / "run")) == sorted(os.listdir(path / "whole"))


def test_a_run_killed_at_random_times_ends_with_the_same_result(task):
    path, undisturbed = task
    moments = random.Random(1)
    for _ in range(4):
        process = child(path)
        end = time.monotonic() + moments.uniform(0.25, 0.6)
        while time.monotonic() < end and process.poll() is None:
            if (path / "run" / "state.safetensors").exists():
                checkpoint.load(path / "run" / "state.safetensors", "state")
            time.sleep(0.01)
        process.kill()
        process.communicate()
        check_what_is_visible(path / "run")
    process = child(path)
    _, errors = process.communicate(timeout=60)
    finished = "has finished: 20 of 20 steps" in errors
    assert process.returncode == 0 or finished, errors
    assert outcome(path / "run") == undisturbed


def test_a_damaged_state_is_refused_and_not_overwritten(task):
    path, _ = task
    state = path / "whole" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged"):
        train(None, path / "whole", resume=True)
    assert state.stat().st_size == 1000
    assert json.loads((path / "whole" / "config.json").read_text())["steps"] == 20
