"""What `npdiff verify --backend cupy` needs: every check runs where arrays are not the host's.

On the stand-in, which refuses what a device refuses; `pytest -m gpu` does the same on CuPy.
"""

from typing import Any

import pytest

from npdiff import backend
from npdiff.laboratory.registry import checks, run_check
from npdiff.verify import strict


def _strict() -> Any:
    return strict.xp


def _cupy() -> Any:
    return backend.module("cupy")


@pytest.mark.parametrize("xp", [_strict, pytest.param(_cupy, marks=pytest.mark.gpu)])
def test_every_check_runs_on_a_device(xp: Any) -> None:
    broken = {}
    for check in checks().values():
        outcome = run_check(check, cases=1, xp=xp())
        # A check may wait for a number: a device then waits, and only the stand-in refuses.
        waits = "makes the program wait for the device" in outcome.error
        if not outcome.passed() and not waits:
            broken[check.location] = outcome.error or dict(outcome.residuals)
    assert not broken
