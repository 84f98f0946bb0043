"""Verification of schedules: those of npdiff pass, each known mistake is detected and explained."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import SCHEDULES, DiscreteSchedule, LinearVP
from npdiff.verify import schedule

BETAS = np.linspace(1e-4, 0.02, 1000)
ALPHA_BAR = np.cumprod(1.0 - BETAS)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_schedules_of_npdiff_pass(name):
    report = schedule(SCHEDULES[name](), like=name)
    assert report.passed, report


def failed(report):
    return [finding.name for finding in report.failures]


def hints(report):
    return " ".join(finding.hint for finding in report.failures)


def test_arrays_of_a_discrete_schedule_pass():
    report = schedule(betas=BETAS, alpha_bar=ALPHA_BAR, first=1, like="linear")
    assert report.check().passed
    assert "1000 steps; first sigma 0.01, last alpha 0.00635282" in str(report)
    mine = DiscreteSchedule(BETAS)
    assert schedule(betas=mine.betas, alpha_bar=mine.alpha_bar, first=0, like=mine).passed
    ends_in_zero = np.append(BETAS, 1.0)
    assert schedule(betas=ends_in_zero, alpha_bar=np.append(ALPHA_BAR, 0.0), first=1).passed


@pytest.mark.parametrize(
    ("arrays", "name", "hint"),
    [
        ({"betas": BETAS, "alpha_bar": np.append(1.0, ALPHA_BAR[:-1])}, "alpha_bar is the", "late"),
        ({"betas": BETAS[:-1], "alpha_bar": ALPHA_BAR[1:]}, "alpha_bar is the", "early"),
        ({"betas": BETAS, "alpha_bar": np.sqrt(ALPHA_BAR)}, "alpha_bar is the", "square root"),
        ({"betas": BETAS, "alpha_bar": np.cumprod(1 + BETAS)}, "each noisy step", ""),
        ({"alpha_bar": np.append(1.0, ALPHA_BAR)}, "each noisy step", "first=0"),
        ({"alpha_bar": ALPHA_BAR.astype(np.float32)}, "log-SNR loses no digits", "float64"),
        ({"alpha_bar": ALPHA_BAR[::-1].copy()}, "alpha_bar falls", "other way"),
        ({"betas": BETAS[::-1] * 2}, "at the first time", ""),
        ({"betas": np.linspace(1e-4, 0.02, 100)}, "at the last time", "T = 1000"),
        ({"betas": 100 * np.linspace(1e-4, 0.02, 10)}, "each beta", "1000 / T"),
        ({"betas": np.append(BETAS, np.nan)}, "each beta", ""),
    ],
)
def test_mistakes_in_arrays_are_detected(arrays, name, hint):
    report = schedule(first=1, clean=0.15, **arrays)
    assert not report[name].passed, report
    assert hint in report[name].hint


def test_arrays_are_compared_with_a_named_schedule():
    def cosine(t):
        return np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2

    T = 1000
    # The second is a mistake of public programs: T points instead of T + 1.
    for u, passes in ((np.linspace(0, 1, T + 1), True), (np.linspace(0, 1, T), False)):
        alpha_bar = cosine(u) / cosine(0)
        betas = np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999)
        report = schedule(betas=betas, first=1, like="cosine")
        assert report.passed == passes, report
    assert failed(report) == ["it has the 1000 steps of DiscreteSchedule"]
    late = schedule(alpha_bar=np.append(ALPHA_BAR[1:], 1e-6), first=1, like="linear")
    assert "one step later" in hints(late)
    assert not schedule(betas=BETAS * 1.001, first=1, like="linear").passed
    # A discrete schedule is close to the continuous one that it approaches, but not equal.
    assert not schedule(betas=BETAS, first=1, like="vp").passed
    assert schedule(betas=BETAS, first=1, like="vp", tolerance=0.1)["log-SNR is that"].passed


VP = LinearVP()


def vp_functions(*names):
    return {name: getattr(VP, name) for name in names}


def test_functions_of_time_pass():
    names = ("alpha", "sigma", "alpha_dot", "sigma_dot", "drift", "diffusion", "time_at", "log_snr")
    report = schedule(span=(1e-3, 1.0), variance_preserving=True, **vp_functions(*names))
    assert report.passed, report
    assert len(report.findings) == 12


@pytest.mark.parametrize(
    ("functions", "name"),
    [
        ({"drift": lambda t: 2 * VP.drift(t)}, "drift"),
        ({"drift": lambda t: -VP.drift(t)}, "drift"),
        ({"diffusion": lambda t: np.sqrt(VP.diffusion(t))}, "diffusion"),
        ({"diffusion": lambda t: 0.5 * VP.diffusion(t)}, "diffusion"),
        ({"sigma_dot": lambda t: 2 * VP.sigma(t) * VP.sigma_dot(t)}, "sigma_dot"),
        ({"alpha_dot": VP.log_alpha_dot}, "alpha_dot"),
        ({"log_snr": lambda t: 0.5 * VP.log_snr(t)}, "log_snr"),
        ({"time_at": lambda v: VP.time_at(v) * 0.999}, "time_at"),
        ({"sigma": lambda t: 1 - VP.alpha(t)}, "alpha^2 + sigma^2"),
        ({"sigma": lambda t: VP.sigma(t).astype(np.float32)}, "log-SNR loses no digits"),
        (
            {"sigma": lambda t: np.sqrt(1 - VP.alpha(t).astype("f4") ** 2)},
            "log-SNR loses no digits",
        ),
        ({"sigma": lambda t: t / 0}, "all functions are finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_in_functions_are_detected(functions, name):
    both = {**vp_functions("alpha", "sigma"), **functions}
    with np.errstate(all="ignore"):
        report = schedule(span=(1e-3, 1.0), variance_preserving=True, **both)
    assert not report[name].passed, report


def test_reversed_time_is_detected():
    report = schedule(span=(0.0, 1.0), alpha=lambda t: t + 0.01, sigma=lambda t: 1.01 - t)
    assert "functions of 1 - t" in report["log-SNR falls"].hint
    assert not report.passed
    assert schedule(span=(0.0, 1.0), alpha=lambda t: 1.01 - t, sigma=lambda t: t + 0.01).passed


def test_invalid_arguments_are_rejected():
    for message, given in (
        ("first must be 0 or 1, got None", {"betas": BETAS}),
        ("give span", vp_functions("alpha", "sigma")),
        ("an object with alpha", {"schedule": 3}),
        ("unknown function 'beta'", {"beta": VP.drift, **vp_functions("alpha", "sigma")}),
        ("unknown schedule 'linaer'", {"betas": BETAS, "first": 1, "like": "linaer"}),
        ("arrays or as functions", {"betas": BETAS, "first": 1, "alpha": VP.alpha}),
        (
            "same length, got 1000 betas and 999 alpha_bar",
            {"betas": BETAS, "alpha_bar": ALPHA_BAR[1:], "first": 1},
        ),
        ("1-D array of two or more", {"betas": [[0.1]], "first": 1}),
        ("first < last", {"span": (1.0, 0.0), **vp_functions("alpha", "sigma")}),
        (
            r"alpha\(t\) must have the shape of t",
            {"span": (0.1, 1.0), "alpha": lambda t: 1.0, "sigma": VP.sigma},
        ),
    ):
        with pytest.raises(InputError, match=message):
            schedule(**given)
