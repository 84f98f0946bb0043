"""Checks of the spacings in time."""

import math
from fractions import Fraction

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, VE, LinearVP, RectifiedFlow, cosine_betas, linear_betas
from npdiff.spacings import leading, linspace, quadratic, trailing

#: T and N: N divides T or not, is T, is 1.
STEP_COUNTS = ((1000, 50), (1000, 37), (23, 23), (10, 4), (7, 6), (12, 1), (97, 90), (64, 5))


def rounding_error(found: np.ndarray, exact: list[Fraction]) -> float:
    """0 if the times are the exact ones rounded to integers, either way from the middle; else 1."""
    if len(found) != len(exact):
        return math.inf
    off = [abs(Fraction(float(a)) - b) for a, b in zip(found, exact, strict=True)]
    fits = all(float(a).is_integer() for a in found) and max(off) <= Fraction(1, 2)
    return 0.0 if fits and (np.diff(found) < 0.0).all() else 1.0


def evenly_spaced(first: Fraction, last: Fraction, count: int) -> list[Fraction]:
    """``count`` evenly spaced values from first to last."""
    return [first + (last - first) * k / max(count - 1, 1) for k in range(count)]


@check(
    "trailing-spacing",
    "linspace-spacing",
    method="exact fractions",
    tolerance=1e-14,
    cases=len(STEP_COUNTS),
)
def even_spacings_by_fractions(case: Case) -> dict[str, float]:
    """Even steps from T to 0, or to the least noise; rounded in a discrete schedule."""
    (T, N), one, zero = case.choose(STEP_COUNTS), Fraction(1), Fraction(0)
    discrete, flow, edm = linear_betas(T), RectifiedFlow(), EDM(sigma_max=8.0, sigma_min=0.25)
    even = evenly_spaced(Fraction(T), zero, N + 1)
    to_one = [*evenly_spaced(Fraction(T), one, N), zero]
    to_quarter = [*evenly_spaced(Fraction(8), Fraction(1, 4), N), zero]
    trails = rounding_error(trailing(discrete, N), even)
    trails += relative(trailing(flow, N), np.array([float(t / T) for t in even]))
    lines = rounding_error(linspace(discrete, N), to_one)
    lines += relative(linspace(edm, N), np.array([float(t) for t in to_quarter]))
    if N < T:
        dropped = [*evenly_spaced(Fraction(T), one, N + 1)[:-1], zero]
        lines += rounding_error(linspace(discrete, N, dropped=True), dropped)
        dropped = [*evenly_spaced(Fraction(8), Fraction(1, 4), N + 1)[:-1], zero]
        right = np.array([float(t) for t in dropped])
        lines += relative(linspace(edm, N, dropped=True), right)
    return {"trailing-spacing": trails, "linspace-spacing": lines}


@check("leading-spacing", method="counting", tolerance=0.0, cases=len(STEP_COUNTS))
def leading_by_counting(case: Case) -> float:
    """1, 1 + stride, ... in integers, reversed, then 0."""
    T, N = case.choose(STEP_COUNTS)
    counted = [*reversed(range(1, 1 + N * (T // N), T // N)), 0]
    off = relative(leading(linear_betas(T), N), np.array(counted, dtype=float))
    if N < T:
        stride = T // (N + 1)
        counted = [*reversed(range(1 + stride, 2 + N * stride, stride)), 0]
        dropped = leading(linear_betas(T), N, dropped=True)
        off += relative(dropped, np.array(counted, dtype=float))
    return off


@check(
    "quadratic-spacing",
    method="squares, and free steps one by one",
    tolerance=1e-13,
    cases=len(STEP_COUNTS),
)
def quadratic_by_squares(case: Case) -> float:
    """Squares of evenly spaced roots; in a discrete schedule each at the next free step."""
    T, N = case.choose(STEP_COUNTS)
    rows: list[float] = []
    for j in range(N):
        part = j / (N - 1) if N > 1 else 1.0
        row = math.floor((1.0 + part * (math.sqrt(T) - 1.0)) ** 2 + 0.5)
        rows.append(float(max(row, rows[-1] + 1 if rows else 1)))
    off = relative(quadratic(cosine_betas(T), N), np.array([*rows[::-1], 0.0]))
    schedule = case.choose([EDM(sigma_max=9.0, sigma_min=0.04), LinearVP(), VE()])
    roots = np.sqrt(quadratic(schedule, N)[:-1])
    ends = math.sqrt(schedule.t_max), math.sqrt(schedule.t_min)
    even = [ends[0] + (ends[1] - ends[0]) * k / max(N - 1, 1) for k in range(N)]
    return max(off, relative(roots, np.array(even)))
