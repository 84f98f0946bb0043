"""Checks of the factories of discrete schedules, in loops over their steps."""

import math

import numpy as np

from npdiff.laboratory.checks.schedules._discrete import betas_error, clipped_betas, length
from npdiff.laboratory.registry import Case, check
from npdiff.schedules import (
    cosine_betas,
    exponential_betas,
    invariant_linear_betas,
    linear_betas,
    scaled_linear_betas,
    sigmoid_alpha_bar_betas,
    sigmoid_betas,
)


@check("linear-betas", "invariant-linear-betas", method="a loop over the steps", tolerance=1e-14)
def linear_betas_in_a_loop(case: Case) -> dict[str, float]:
    """From beta_1 to beta_T in equal steps; times 1000 / T."""
    T, first, last = length(case), *case.choose([(1e-4, 0.02), (3e-4, 0.005)])
    expected = [first + (last - first) * t / (T - 1) for t in range(T)]
    fixed = linear_betas(T) if last == 0.02 else linear_betas(T, first, last)
    long = max(T, 40)
    strides = [1000 / long * (first + (last - first) * t / (long - 1)) for t in range(long)]
    scaled = invariant_linear_betas(long, *(() if last == 0.02 else (first, last)))
    return {
        "linear-betas": betas_error(fixed, expected),
        "invariant-linear-betas": betas_error(scaled, strides),
    }


@check("cosine-betas", method="cosines in extended precision", tolerance=1e-10)
def cosine_betas_by_cosines(case: Case) -> float:
    """One minus the quotient of neighboring alpha-bars, at most the clip value."""
    T, s, largest = length(case), *case.choose([(0.008, 0.999), (0.05, 0.7)])
    quarter = 2 * np.arctan(np.longdouble(1.0))

    def bar(u: np.longdouble) -> np.longdouble:
        return np.cos((u + s) / (1 + np.longdouble(s)) * quarter) ** 2

    schedule = cosine_betas(T) if s == 0.008 else cosine_betas(T, s, largest)
    return betas_error(schedule, clipped_betas(bar, T, largest))


@check("scaled-linear-betas", method="a loop over the steps", tolerance=1e-13)
def scaled_linear_betas_in_a_loop(case: Case) -> float:
    """The squares of evenly spaced values."""
    T, first, last = length(case), *case.choose([(0.00085, 0.012), (0.0015, 0.0195)])
    a, b = math.sqrt(first), math.sqrt(last)
    schedule = scaled_linear_betas(T) if last == 0.012 else scaled_linear_betas(T, first, last)
    return betas_error(schedule, [(a + (b - a) * t / (T - 1)) ** 2 for t in range(T)])


@check("sigmoid-alpha-bar", method="sigmoids in extended precision", tolerance=1e-10, cases=8)
def sigmoid_alpha_bar_by_sigmoids(case: Case) -> float:
    """The betas of a piece of the logistic function, symmetric or not."""
    T, options = length(case), case.choose([(-3.0, 3.0, 1.0, 0.999), (-1.0, 4.0, 0.6, 0.8)])
    start, end, tau, largest = options

    def sigmoid(v: np.longdouble) -> np.longdouble:
        return 1 / (1 + np.exp(-v))

    def bar(u: np.longdouble) -> np.longdouble:
        high = sigmoid(np.longdouble(end) / tau)
        now = sigmoid((start + u * (end - start)) / tau)
        return (high - now) / (high - sigmoid(np.longdouble(start) / tau))

    schedule = sigmoid_alpha_bar_betas(T) if tau == 1.0 else sigmoid_alpha_bar_betas(T, *options)
    return betas_error(schedule, clipped_betas(bar, T, largest))


@check("sigmoid-betas", method="a loop over the steps, tanh", tolerance=1e-13)
def sigmoid_betas_in_a_loop(case: Case) -> float:
    """From one beta to the other along (1 + tanh(v / 2)) / 2, v from -6 to 6."""
    T, options = length(case), case.choose([(1e-4, 0.02, 6.0), (0.003, 0.1, 3.5)])
    first, last, reach = options
    half = [0.5 * reach * (2 * t / (T - 1) - 1) for t in range(T)]
    expected = [first + (last - first) * 0.5 * (1.0 + math.tanh(v)) for v in half]
    schedule = sigmoid_betas(T) if reach == 6.0 else sigmoid_betas(T, *options)
    return betas_error(schedule, expected)


@check("exponential-alpha-bar", method="equal factors of alpha-bar", tolerance=1e-12)
def exponential_by_equal_factors(case: Case) -> float:
    """alpha-bar at u = t / T is exp(-12 u) at every step."""
    T, rate = length(case), case.choose([12.0, 5.0])
    schedule = exponential_betas(T) if rate == 12.0 else exponential_betas(T, rate)
    expected = np.array([math.exp(-rate * t / T) for t in range(T + 1)])
    return float(np.max(np.abs(schedule.alpha_bar / expected - 1.0)))
