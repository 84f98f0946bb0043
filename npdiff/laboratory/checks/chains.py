"""Checks of the chains: products row by row, and the betas of each name in a plain loop."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import (
    DiscreteSchedule,
    cosine_betas,
    exponential_betas,
    invariant_linear_betas,
    linear_betas,
    scaled_linear_betas,
    sigmoid_alpha_bar_betas,
    sigmoid_betas,
    zero_snr_betas,
    zero_terminal_snr,
)

#: Lengths of chains to be tried: DDPM's own and others.
LENGTHS = (1000, 50, 37, 6)


def betas_off(table: DiscreteSchedule, expected: Sequence[float]) -> float:
    """The largest deviation of the betas of rows 1..T, each relative to its own size."""
    right = np.array(expected, dtype=np.float64)
    if table.steps != right.size or table.t_max != right.size or table.betas[0] != 0.0:
        return 1.0
    return float(np.max(np.abs(table.betas[1:] / right - 1.0)))


def lengths(case: Case) -> int:
    """The number of steps, each length in its turn."""
    return case.choose(LENGTHS)


@check("alpha-bar", route="products of exact fractions", tolerance=1e-13, cases=6)
def alpha_bar_by_fractions(case: Case) -> float:
    """The product of 1 - beta over the rows; between them powers of it, or a line down to 0."""
    betas = [Fraction(int(n), 64) for n in case.rng.integers(1, 40, size=9)]
    betas[-1] = Fraction(1) if case.index % 2 else betas[-1]
    table, bar = DiscreteSchedule(np.array([float(b) for b in betas])), [Fraction(1)]
    for beta in betas:
        bar.append(bar[-1] * (1 - beta))
    rows = np.array([float(b) for b in bar])
    off = [
        relative(table.alpha_bar, rows),
        relative(table.alpha(np.arange(10.0)) ** 2, rows),
        relative(table.sigma(np.arange(10.0)) ** 2, np.array([float(1 - b) for b in bar])),
    ]
    for row, beta in enumerate(betas):
        part = float(case.rng.uniform(0.0, 1.0))
        left = 1.0 - part if beta == 1 else float(1 - beta) ** (0.5 * part)
        off.append(relative(table.alpha(row + part), math.sqrt(bar[row]) * left))
    return max(off)


@check("linear-betas", "invariant-linear-betas", route="a loop over the rows", tolerance=1e-14)
def linear_betas_in_a_loop(case: Case) -> dict[str, float]:
    """From beta_1 to beta_T in equal strides; times 1000 / T."""
    T, first, last = lengths(case), *case.choose([(1e-4, 0.02), (3e-4, 0.005)])
    inference_network = [first + (last - first) * t / (T - 1) for t in range(T)]
    fixed = linear_betas(T) if last == 0.02 else linear_betas(T, first, last)
    long = max(T, 40)
    strides = [1000 / long * (first + (last - first) * t / (long - 1)) for t in range(long)]
    scaled = invariant_linear_betas(long, *(() if last == 0.02 else (first, last)))
    return {
        "linear-betas": betas_off(fixed, inference_network),
        "invariant-linear-betas": betas_off(scaled, strides),
    }


@check("scaled-linear-betas", route="a loop over the rows", tolerance=1e-13)
def scaled_linear_betas_in_a_loop(case: Case) -> float:
    """The squares of numbers in equal strides."""
    T, first, last = lengths(case), *case.choose([(0.00085, 0.012), (0.0015, 0.0195)])
    a, b = math.sqrt(first), math.sqrt(last)
    table = scaled_linear_betas(T) if last == 0.012 else scaled_linear_betas(T, first, last)
    return betas_off(table, [(a + (b - a) * t / (T - 1)) ** 2 for t in range(T)])


def cut(bar: Callable[[np.longdouble], np.longdouble], T: int, largest: float) -> list[float]:
    """The betas of an alpha-bar(u), in extended precision, clipped."""
    rows = [bar(np.longdouble(t) / T) for t in range(T)] + [np.longdouble(0)]
    ratios = [1 - after / before for before, after in pairwise(rows)]
    return [min(float(r), largest) for r in ratios]


@check("cosine-betas", route="its cosines in extended precision", tolerance=1e-10)
def cosine_betas_by_cosines(case: Case) -> float:
    """One minus the quotient of neighboring alpha-bars, never above the clip."""
    T, s, largest = lengths(case), *case.choose([(0.008, 0.999), (0.05, 0.7)])
    quarter = 2 * np.arctan(np.longdouble(1.0))

    def bar(u: np.longdouble) -> np.longdouble:
        return np.cos((u + s) / (1 + np.longdouble(s)) * quarter) ** 2

    table = cosine_betas(T) if s == 0.008 else cosine_betas(T, s, largest)
    return betas_off(table, cut(bar, T, largest))


@check("sigmoid-alpha-bar", route="its sigmoids in extended precision", tolerance=1e-10, cases=8)
def sigmoid_alpha_bar_by_sigmoids(case: Case) -> float:
    """The same of a piece of the logistic function, symmetric or not."""
    T, options = lengths(case), case.choose([(-3.0, 3.0, 1.0, 0.999), (-1.0, 4.0, 0.6, 0.8)])
    start, end, tau, largest = options

    def sigmoid(v: np.longdouble) -> np.longdouble:
        return 1 / (1 + np.exp(-v))

    def bar(u: np.longdouble) -> np.longdouble:
        high = sigmoid(np.longdouble(end) / tau)
        now = sigmoid((start + u * (end - start)) / tau)
        return (high - now) / (high - sigmoid(np.longdouble(start) / tau))

    table = sigmoid_alpha_bar_betas(T) if tau == 1.0 else sigmoid_alpha_bar_betas(T, *options)
    return betas_off(table, cut(bar, T, largest))


@check("sigmoid-betas", route="a loop over the rows, tanh", tolerance=1e-13)
def sigmoid_betas_in_a_loop(case: Case) -> float:
    """From one beta to the other along (1 + tanh(v / 2)) / 2, v from -6 to 6."""
    T, options = lengths(case), case.choose([(1e-4, 0.02, 6.0), (0.003, 0.1, 3.5)])
    first, last, reach = options
    half = [0.5 * reach * (2 * t / (T - 1) - 1) for t in range(T)]
    expected = [first + (last - first) * 0.5 * (1.0 + math.tanh(v)) for v in half]
    table = sigmoid_betas(T) if reach == 6.0 else sigmoid_betas(T, *options)
    return betas_off(table, expected)


@check("exponential-alpha-bar", route="equal shares of alpha-bar", tolerance=1e-12)
def exponential_by_equal_shares(case: Case) -> float:
    """alpha-bar at u = t / T is exp(-12 u) at every row."""
    T, rate = lengths(case), case.choose([12.0, 5.0])
    table = exponential_betas(T) if rate == 12.0 else exponential_betas(T, rate)
    expected = np.array([math.exp(-rate * t / T) for t in range(T + 1)])
    return float(np.max(np.abs(table.alpha_bar / expected - 1.0)))


@check("zero-terminal-snr", route="shift and scale in extended precision", tolerance=1e-11, cases=6)
def zero_terminal_snr_row_by_row(case: Case) -> float:
    """Row by row: less alpha_T, times what keeps row 1; the betas from neighboring rows."""
    if case.index % 3 == 0:
        table, new = scaled_linear_betas(), zero_snr_betas()
    else:
        table = DiscreteSchedule(case.rng.uniform(0.01, 0.3, size=15))
        new = zero_terminal_snr(table)
    alpha = np.sqrt(np.cumprod(1 - table.betas.astype(np.longdouble)))[1:]
    rows = [alpha[0] * (a - alpha[-1]) / (alpha[0] - alpha[-1]) for a in alpha]
    pairs = pairwise([np.longdouble(1), *rows])
    betas = [float(1 - (after / before) ** 2) for before, after in pairs]
    found = new.alpha(np.arange(1.0, len(rows) + 1.0))
    off = relative(found, np.array(rows, dtype=np.float64))
    return max(off, betas_off(new, betas), float(new.alpha(new.t_max)))
