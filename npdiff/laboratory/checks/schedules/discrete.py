"""Checks of discrete schedules, in loops over their steps."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np

from npdiff.laboratory.checks.schedules._discrete import betas_error, clipped_betas, length
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import (
    DiscreteSchedule,
    cosine_betas,
    invariant_linear_betas,
    linear_betas,
    scaled_linear_betas,
    zero_snr_betas,
    zero_terminal_snr,
)


@check("alpha-bar", method="products of exact fractions", tolerance=1e-13, cases=6)
def alpha_bar_by_fractions(case: Case) -> float:
    """The product of 1 - beta over the steps; between them powers of it, or a line down to 0."""
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


@check("linear-betas", "invariant-linear-betas", method="a loop over the steps", tolerance=1e-14)
def linear_betas_in_a_loop(case: Case) -> dict[str, float]:
    """From beta_1 to beta_T in equal steps; times 1000 / T."""
    T, first, last = length(case), *case.choose([(1e-4, 0.02), (3e-4, 0.005)])
    inference_network = [first + (last - first) * t / (T - 1) for t in range(T)]
    fixed = linear_betas(T) if last == 0.02 else linear_betas(T, first, last)
    long = max(T, 40)
    strides = [1000 / long * (first + (last - first) * t / (long - 1)) for t in range(long)]
    scaled = invariant_linear_betas(long, *(() if last == 0.02 else (first, last)))
    return {
        "linear-betas": betas_error(fixed, inference_network),
        "invariant-linear-betas": betas_error(scaled, strides),
    }


@check("cosine-betas", method="cosines in extended precision", tolerance=1e-10)
def cosine_betas_by_cosines(case: Case) -> float:
    """One minus the quotient of neighboring alpha-bars, at most the clip value."""
    T, s, largest = length(case), *case.choose([(0.008, 0.999), (0.05, 0.7)])
    quarter = 2 * np.arctan(np.longdouble(1.0))

    def bar(u: np.longdouble) -> np.longdouble:
        return np.cos((u + s) / (1 + np.longdouble(s)) * quarter) ** 2

    table = cosine_betas(T) if s == 0.008 else cosine_betas(T, s, largest)
    return betas_error(table, clipped_betas(bar, T, largest))


@check(
    "zero-terminal-snr", method="shift and scale in extended precision", tolerance=1e-11, cases=6
)
def zero_terminal_snr_step_by_step(case: Case) -> float:
    """Subtract alpha_T and rescale to keep alpha_1; the betas from neighboring values."""
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
    return max(off, betas_error(new, betas), float(new.alpha(new.t_max)))
