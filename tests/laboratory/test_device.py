"""Every check runs where arrays are not NumPy's, as ``npdiff verify --backend cupy`` requires.

On the strict stand-in, which raises errors where a device does; with ``pytest -m gpu`` on CuPy.
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
    failed = {}
    for check in checks().values():
        result = run_check(check, cases=1, xp=xp())
        # A check may read a scalar: a device then synchronizes; only the stand-in raises an error.
        synchronizes = "makes the program wait for the device" in result.error
        if not result.passed() and not synchronizes:
            failed[check.location] = result.error or dict(result.residuals)
    assert not failed
