"""Euler's and Heun's methods: numbers of evaluations and the last step."""

import numpy as np
import pytest

from npdiff.exact import Gaussian
from npdiff.samplers import euler, heun
from npdiff.schedules import SCHEDULES
from npdiff.spacings import trailing

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
DATA = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))


@pytest.mark.parametrize(("sampler", "calls"), [(euler, 6), (heun, 11)])
@everywhere
def test_evaluations_and_the_last_step(schedule, sampler, calls: int) -> None:
    times = []

    def denoise(x, t):
        times.append(t)
        return DATA.denoiser(schedule)(x, t)

    *_, last = sampler(denoise, schedule, np.ones((1, 2)), trailing(schedule, 6))
    assert len(times) == calls
    assert min(times) > 0
    assert last.t == 0
    assert (last.x == last.x0_hat).all()
