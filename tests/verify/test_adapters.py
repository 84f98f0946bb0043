"""Adapters: samplers of other conventions, as public programs write them."""

from itertools import pairwise

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import EDM, LinearVP, RectifiedFlow
from npdiff.verify import adapters, sampler

QUICK = {"steps": (24, 48, 96)}


def euler_in_sigma(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        d = (x - D(x, sigmas[i] * np.ones(len(x)))) / sigmas[i]
        x = x + d * (sigmas[i + 1] - sigmas[i])
    return x


def midpoint_in_sigma(D, x, sigmas, power=0.5):
    """DPM-Solver-2: a stage at the geometric mean of two sigmas, between the timesteps."""
    for a, b in pairwise(sigmas):
        d = (x - D(x, a)) / a
        if b == 0:
            return x - a * d
        middle = a ** (1 - power) * b**power
        ahead = x + (middle - a) * d
        x = x + (b - a) * (ahead - D(ahead, middle)) / middle
    return x


@pytest.mark.parametrize("schedule", [LinearVP(), EDM()], ids=["vp", "edm"])
def test_samplers_in_sigma(schedule):
    report = sampler(
        adapters.in_sigma(euler_in_sigma), schedule=schedule, exact="point", like="ddim", **QUICK
    )
    assert report.passed, report
    assert "euler_in_sigma" in str(report)
    steps = (48, 96, 192)
    second = sampler(adapters.in_sigma(midpoint_in_sigma), 2, schedule=schedule, steps=steps)
    assert second.passed, second
    third = adapters.in_sigma(lambda D, x, s: midpoint_in_sigma(D, x, s, 0.8))
    wrong = sampler(third, 2, schedule=schedule, **QUICK)
    assert not wrong["the error falls"].passed


def ddim_by_index(eps, x, alpha_bar, indices, sign=1.0, first=1.0, visit=None):
    """The loop of many programs: an array, a subset of its indices, 1 before the first."""
    visited = np.asarray(indices) if visit is None else visit(len(alpha_bar), len(indices))
    for k in range(len(visited) - 1, -1, -1):
        i = np.full(len(x), visited[k])
        a, b = alpha_bar[visited[k]], alpha_bar[visited[k - 1]] if k else first
        noise = eps(x, i)
        x_0 = (x - np.sqrt(1 - a) * noise) / np.sqrt(a)
        x = np.sqrt(b) * x_0 + sign * np.sqrt(1 - b) * noise
    return x


def wrong(**mistake):
    return lambda eps, x, alpha_bar, indices: ddim_by_index(eps, x, alpha_bar, indices, **mistake)


def test_samplers_by_index():
    for stride in (1, 7):
        assert sampler(adapters.in_index(ddim_by_index, stride=stride), **QUICK).passed
    for mistake in (
        {"sign": -1.0},
        {"visit": lambda T, N: np.arange(1, T)[:N]},  # the first N steps, not every seventh
        {"visit": lambda T, N: np.arange(N) * (T // N)},  # starts a stride below the end
    ):
        report = sampler(adapters.in_index(wrong(**mistake), stride=7), **QUICK)
        assert not report.passed, mistake
    stays_noisy = sampler(adapters.in_index(wrong(first=0.9999)), **QUICK)
    assert not stays_noisy["for data that are one point"].passed


def ancestral_by_index(eps, x, alpha_bar, indices, noise, large=False):
    before = np.append(1.0, alpha_bar[:-1])
    beta = 1 - alpha_bar / before
    for i in reversed(indices):
        mean = (x - beta[i] / np.sqrt(1 - alpha_bar[i]) * eps(x, i)) / np.sqrt(1 - beta[i])
        variance = beta[i] if large else beta[i] * (1 - before[i]) / (1 - alpha_bar[i])
        x = mean + (i > 0) * np.sqrt(variance) * noise(i)
    return x


def test_stochastic_samplers_by_index():
    assert sampler(adapters.in_index(ancestral_by_index), noise="given").passed
    large = adapters.in_index(lambda *a, noise: ancestral_by_index(*a, noise, large=True))
    assert sampler(large, noise="given").passed
    as_npdiff = sampler(adapters.in_index(ancestral_by_index), noise="given", exact="point")
    assert not as_npdiff["mean and variance are exact"].passed  # no noise in the step to the "data"


def euler_of_flow(v, x, taus, sign=1.0):
    for a, b in pairwise(taus):
        x = x + sign * (b - a) * v(x, np.full(len(x), a))
    return x


def test_samplers_of_flow_matching():
    report = sampler(adapters.in_flow(euler_of_flow), schedule=RectifiedFlow(), **QUICK)
    assert report.passed, report
    backwards = adapters.in_flow(lambda v, x, taus: euler_of_flow(v, x, taus, -1.0))
    assert not sampler(backwards, schedule=RectifiedFlow(), **QUICK)["the error falls"].passed
    mixed = adapters.in_flow(lambda v, x, taus: v(x, np.linspace(0, 1, len(x))))
    with pytest.raises(InputError, match="at one time, got"):
        sampler(mixed, schedule=RectifiedFlow(), **QUICK)


class Foreign:
    """An array of another framework: it combines only with its kind."""

    def __init__(self, value):
        self.value = np.asarray(value)

    def __len__(self):
        return len(self.value)

    def __getitem__(self, index):
        return Foreign(self.value[index])

    def _with(self, other, operation):
        assert not isinstance(other, np.ndarray), "a host array among foreign ones"
        return Foreign(operation(self.value, getattr(other, "value", other)))

    def __add__(self, other):
        return self._with(other, np.add)

    def __sub__(self, other):
        return self._with(other, np.subtract)

    def __mul__(self, other):
        return self._with(other, np.multiply)

    def __truediv__(self, other):
        return self._with(other, np.divide)


def foreign_euler(D, x, sigmas, noise=None):
    assert all(isinstance(a, Foreign) for a in (x, sigmas))
    for i in range(len(sigmas) - 1):
        x = x + (x - D(x, sigmas[i])) / sigmas[i] * (sigmas[i + 1] - sigmas[i])
        assert noise is None or isinstance(noise(i), Foreign)
    return x


def test_arrays_are_converted_to_and_back():
    adapted = adapters.in_sigma(foreign_euler, to=Foreign, back=lambda a: a.value)
    assert sampler(adapted, **QUICK).passed
    # The sampler is deterministic and ignores the noise, so its variance is right.
    assert sampler(adapted, noise="given", to_data=False)["the variance"].passed


def test_in_index_needs_a_variance_preserving_schedule():
    with pytest.raises(InputError, match="LinearVP"):
        sampler(adapters.in_index(ddim_by_index), schedule=EDM(), **QUICK)
