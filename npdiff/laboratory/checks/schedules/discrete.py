"""Checks of discrete schedules, in loops over their steps."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np

from npdiff.laboratory.checks.schedules._discrete import betas_error
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import (
    DiscreteSchedule,
    scaled_linear_betas,
    zero_snr_betas,
    zero_terminal_snr,
)


@check("alpha-bar", method="products of exact fractions", tolerance=1e-13, cases=6)
def alpha_bar_by_fractions(case: Case) -> float:
    """The product of 1 - beta over the steps; between them powers of it, or a line down to 0."""
    betas = [Fraction(int(n), 64) for n in case.rng.integers(1, 40, size=9)]
    betas[-1] = Fraction(1) if case.index % 2 else betas[-1]
    schedule, bar = DiscreteSchedule(np.array([float(b) for b in betas])), [Fraction(1)]
    for beta in betas:
        bar.append(bar[-1] * (1 - beta))
    rows = np.array([float(b) for b in bar])
    off = [
        relative(schedule.alpha_bar, rows),
        relative(schedule.alpha(np.arange(10.0)) ** 2, rows),
        relative(schedule.sigma(np.arange(10.0)) ** 2, np.array([float(1 - b) for b in bar])),
    ]
    for row, beta in enumerate(betas):
        part = float(case.rng.uniform(0.0, 1.0))
        left = 1.0 - part if beta == 1 else float(1 - beta) ** (0.5 * part)
        off.append(relative(schedule.alpha(row + part), math.sqrt(bar[row]) * left))
    return max(off)


@check(
    "zero-terminal-snr", method="shift and scale in extended precision", tolerance=1e-11, cases=6
)
def zero_terminal_snr_step_by_step(case: Case) -> float:
    """Subtract alpha_T and rescale to keep alpha_1; the betas from neighboring values."""
    if case.index % 3 == 0:
        schedule, new = scaled_linear_betas(), zero_snr_betas()
    else:
        schedule = DiscreteSchedule(case.rng.uniform(0.01, 0.3, size=15))
        new = zero_terminal_snr(schedule)
    alpha = np.sqrt(np.cumprod(1 - schedule.betas.astype(np.longdouble)))[1:]
    rows = [alpha[0] * (a - alpha[-1]) / (alpha[0] - alpha[-1]) for a in alpha]
    pairs = pairwise([np.longdouble(1), *rows])
    betas = [float(1 - (after / before) ** 2) for before, after in pairs]
    found = new.alpha(np.arange(1.0, len(rows) + 1.0))
    off = relative(found, np.array(rows, dtype=np.float64))
    return max(off, betas_error(new, betas), float(new.alpha(new.t_max)))
