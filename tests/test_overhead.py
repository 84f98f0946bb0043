"""The benchmark of the overhead of sampling."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import overhead
from npdiff import nn

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("spans", "length"),
    [
        ([], 0.0),
        ([(1.0, 2.0)], 1.0),
        ([(3.0, 4.0), (0.0, 2.0), (1.0, 2.5)], 3.5),
        ([(0.0, 5.0), (1.0, 2.0), (4.0, 6.0)], 6.0),
    ],
)
def test_the_length_of_a_union_of_intervals(
    spans: list[tuple[float, float]], length: float
) -> None:
    assert overhead.covered(spans) == length


def test_the_network_is_restored_after_an_error() -> None:
    call = nn.UNet.__call__
    with pytest.raises(ZeroDivisionError):
        overhead.timed(lambda: 1 // 0)
    assert nn.UNet.__call__ is call


def test_the_program_prints_fractions_as_json() -> None:
    words = ["--batch", "2", "--steps", "2", "--rounds", "2", "--threads", "2", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.overhead", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    rounds = json.loads(done.stdout)["rounds"]
    assert len(rounds) == 2
    for one in rounds:
        assert 0.0 < one["outside_evaluation"] < one["outside_network"] < 1.0
