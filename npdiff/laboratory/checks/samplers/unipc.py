"""Checks of UniPC: its coefficients and its steps, by quadrature."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks.samplers._exponential import (
    SCHEDULES,
    adams_states,
    problem,
    states_from_estimates,
    trajectory,
)
from npdiff.laboratory.quadrature import integral
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers._unipc import VARIANTS, coefficients


def kernel_mean(z: float, n: int) -> float:
    """n! phi_{n+1}(z), the mean of u^n under the kernel of a step from 0 to 1."""
    return integral(lambda u: np.exp((1.0 - u) * z) * u**n, 0.0, 1.0)


@check(
    "unipc-coefficients", method="moments by quadrature", tolerance=1e-11, cases=3 * len(VARIANTS)
)
def coefficients_integrate_powers(case: Case) -> float:
    """The sums of a_k r_k^{n-1} against integrals; and 1/2, the limit of a single coefficient."""
    variant, q = case.choose(VARIANTS), 1 + case.index // 3 % 3
    r = np.cumsum(case.rng.uniform(-0.9, -0.2, size=q))
    r[-1] = 1.0 if q > 1 else r[-1]
    z = float(case.rng.uniform(0.2, 1.5) * case.rng.choice([-1.0, 1.0]))
    a = np.array(coefficients(r.tolist(), z, variant))
    if q == 1:
        exact = coefficients([1.0], 1e-12 * z, "exact")
        limit = max(abs(exact[0] - 0.5), relative(coefficients([1.0], z, "bh1"), [0.5]))
        if variant != "exact":
            return max(relative(a, [0.5]), limit)
    B = z if variant == "bh1" else math.exp(z) - 1.0
    expected = np.array([z * kernel_mean(z, n) / B for n in range(1, q + 1)])
    return relative(np.array([r**n @ a for n in range(q)]), expected)


@check(
    "unip",
    "unic",
    method="Lagrange polynomials integrated by quadrature",
    tolerance=1e-10,
    cases=len(SCHEDULES),
)
def correction_by_quadrature(case: Case) -> float:
    """UniPC with given random estimates against a method whose weights are integrals."""
    p, timesteps, x = problem(case, 6)
    x, m = to_host(x), case.rng.standard_normal((6, 5))
    residuals = []
    for order in (1, 2, 3):
        for prediction in ("eps", "x0"):
            expected = adams_states(p, timesteps, x, m, prediction == "eps", order, corrector=True)
            found = states_from_estimates(
                case,
                "unipc",
                p,
                x,
                timesteps,
                m,
                prediction,
                order=order,
                variant="exact",
                prediction=prediction,
            )
            residuals.append(relative(found, expected))
    return max(residuals)


@check(
    "unip",
    "unic",
    method="the algorithm with 1/2 and B, by hand",
    tolerance=1e-11,
    cases=2 * len(SCHEDULES),
)
def halves_by_hand(case: Case) -> float:
    """Orders 1 and 2 as in the paper, where a single coefficient is 1/2 and B matters."""
    p, timesteps, x = problem(case, 4)
    noise, bh1 = bool(case.index % 2), case.index % 4 < 2
    c = p.sigma if noise else p.a
    worst = 0.0

    def B(z: float) -> float:  # noqa: N802
        return z if bh1 else math.exp(z) - 1.0

    def first_order(y: np.ndarray, m: np.ndarray, t: float, s: float, z: float) -> np.ndarray:
        factor = p.a(s) / p.a(t) if noise else p.sigma(s) / p.sigma(t)
        return factor * y - c(s) * (math.exp(z) - 1.0) * m

    for order in (1, 2):
        y = corrected = x
        past: list[np.ndarray] = []
        lam: list[float] = []
        expected, before, z = [], 0.0, 0.0
        for i, (t, s) in enumerate(pairwise(timesteps.tolist())):
            estimate = (p.noise if noise else p.data)(y, t)
            if i > 0:
                base = first_order(corrected, past[-1], before, t, z)
                D = estimate - past[-1]
                if order == 1 or i == 1:
                    corrected = base - c(t) * B(z) * 0.5 * D
                else:
                    h = p.lam(t) - lam[-1]
                    r = (lam[-2] - lam[-1]) / h
                    # a_1 + a_2 = b_1 and r a_1 + a_2 = b_2
                    b_1, b_2 = (z * kernel_mean(z, n) / B(z) for n in (1, 2))
                    a_1 = (b_1 - b_2) / (1.0 - r)
                    both = a_1 / r * (past[-2] - past[-1]) + (b_1 - a_1) * D
                    corrected = base - c(t) * B(z) * both
            past.append(estimate)
            lam.append(p.lam(t))
            h = p.lam(s) - p.lam(t)
            z, before = (h if noise else -h), t
            y = first_order(corrected, estimate, t, s, z)
            if order == 2 and i > 0:
                r = (lam[-2] - lam[-1]) / h
                y = y - c(s) * B(z) * 0.5 / r * (past[-2] - past[-1])
            expected.append(to_host(y))
        chosen = {"order": order} if order == 1 else {}  # 2 is the default
        found = trajectory(
            "unipc", p, x, timesteps, **chosen,
            variant="bh1" if bh1 else "bh2", prediction="eps" if noise else "x0",
        )  # fmt: skip
        worst = max(worst, relative(np.array([to_host(one) for one in found]), np.array(expected)))
    return worst
