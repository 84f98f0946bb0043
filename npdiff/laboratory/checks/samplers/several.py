"""Checks of several samplers at once: defaults, last steps, polynomial exactness, starts."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from npdiff import samplers
from npdiff.backend import Array, to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.checks.samplers._exponential import (
    SCHEDULES,
    adams_states,
    problem,
    states_from_estimates,
    trajectory,
)
from npdiff.laboratory.quadrature import quadrature_error
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import LinearVP

#: Samplers that draw once per step, and their options.
ONCE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ddpm", {}), ("ddim", {"eta": 0.8}), ("dpmpp-sde", {}), ("euler-ancestral", {}),
)  # fmt: skip


@check(
    "ancestral-step", "ddim-step", "dpmpp-2m-sde", "euler-ancestral-step", "langevin-step",
    method="counting draws", tolerance=0.0, cases=2,
)  # fmt: skip
def no_noise_in_the_last_step(case: Case) -> dict[str, float]:
    """One draw per step except in the last, which leads to the data; one more with a corrector."""
    schedule, steps, drawn = LinearVP(), 4 + case.index, []
    timesteps, x = np.append(np.linspace(1.0, 0.1, steps), 0.0), case.normal((2, 1))

    def noise(i: int) -> Array:
        drawn.append(i)
        return x

    def draws(name: str, **options: Any) -> list[int]:
        drawn.clear()
        denoise = Gaussian([0.3], 0.4).denoiser(schedule)
        list(samplers.sample(name, denoise, schedule, x, timesteps, noise, **options))
        return sorted(drawn)

    labels = ("ancestral-step", "ddim-step", "dpmpp-2m-sde", "euler-ancestral-step")
    found = {
        label: float(draws(name, **options) != list(range(steps - 1)))
        for label, (name, options) in zip(labels, ONCE, strict=True)
    }
    twice = draws("predictor-corrector", corrections=1)
    return found | {"langevin-step": float(twice != list(range(2 * (steps - 1))))}


#: Label, name, default options and other options of each sampler.
SAMPLERS: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "ddim-step": ("ddim", {"eta": 0.0}, {"eta": 0.1}),
    "dpm-solver-2": ("dpm-solver", {"order": 2, "budget": False}, {"order": 3}),
    "dpm-solver-multistep": ("dpm-solver-multistep", {"order": 2}, {"order": 3}),
    "dpmpp-2m": ("dpmpp-multistep", {"order": 2, "legacy": False}, {"order": 3}),
    "dpmpp-2m-sde": ("dpmpp-sde", {"order": 2, "eta": 1.0}, {"eta": 1.1}),
    "unip": ("unipc", {"order": 2}, {"order": 3}),
    "deis-step": ("deis", {"order": 3}, {"order": 2}),
    "lms-step": ("lms", {"order": 4}, {"order": 3}),
    "euler-ancestral-step": ("euler-ancestral", {"eta": 1.0}, {"eta": 0.9}),
    "dpm2-ancestral-step": ("dpm2-ancestral", {"eta": 1.0}, {"eta": 0.9}),
    "langevin-step": (
        "predictor-corrector", {"snr": 0.16, "corrections": 1}, {"corrections": 2}
    ),
    "edm-churn": (
        "edm", {"s_churn": 0.0, "s_min": 0.0, "s_max": math.inf, "s_noise": 1.0}, {"s_churn": 2.0}
    ),
    "edm-step": (
        "edm", {"s_churn": 3.0, "s_min": 0.0, "s_max": math.inf, "s_noise": 1.0}, {"s_churn": 2.0}
    ),
}  # fmt: skip


@check(*SAMPLERS, method="default options given explicitly", tolerance=0.0, cases=1)
def samplers_by_default(case: Case) -> dict[str, float]:
    """Six steps with default options against the same options given; other options differ."""
    schedule, data = LinearVP(), Gaussian([0.7, -0.2], np.array([[0.5, 0.2], [0.2, 0.3]]))
    timesteps = np.append(np.linspace(1.0, 0.05, 6), 0.0)
    start, draws = case.normal((3, 2)), case.normal((200, 3, 2))

    def end(name: str, **options: Any) -> np.ndarray:
        denoise = data.denoiser(schedule)
        steps = samplers.sample(
            name, denoise, schedule, start, timesteps, lambda i: draws[i % 200], **options
        )
        return to_host([step.x for step in steps][-1])

    found = {}
    for label, (name, usual, other) in SAMPLERS.items():
        own = (
            {"s_churn": 3.0} if label == "edm-step" else {}
        )  # without it the other options have no effect
        same = relative(end(name, **own), end(name, **usual))
        found[label] = same + float(relative(end(name, **own), end(name, **other)) < 1e-9)
    return found


#: Solvers that are exact for polynomials in half log-SNR of degree below their order: label of the
#: step, sampler, smooth estimate, order, options.
EXACT: tuple[tuple[str, str, str, int, dict[str, Any]], ...] = (
    ("dpm-solver-multistep", "dpm-solver-multistep", "eps", 2, {"midpoint": False}),
    ("dpm-solver-multistep", "dpm-solver-multistep", "eps", 3, {}),
    ("dpmpp-2m", "dpmpp-multistep", "x0", 2, {"midpoint": False}),
    ("dpmpp-3m", "dpmpp-multistep", "x0", 3, {}),
    ("exponential-sde", "dpmpp-sde", "x0", 3, {"eta": 0.0}),
    ("unip", "unipc", "x0", 3, {"corrector": False}),
    ("unip", "unipc", "eps", 3, {"corrector": False, "prediction": "eps"}),
    ("deis-step", "deis", "eps", 3, {"variable": "log-rho"}),
)


@check(
    *dict.fromkeys(label for label, *_ in EXACT),
    method="quadrature of a polynomial with random coefficients", tolerance=1e-12, cases=4,
)  # fmt: skip
def exact_for_polynomials(case: Case) -> dict[str, float]:
    """A long last step of uneven ones, for a polynomial of the highest degree that is exact."""
    timesteps = np.cumsum(case.rng.uniform(0.2, 0.8, size=4)) - 1.0
    residuals = dict.fromkeys((label for label, *_ in EXACT), 0.0)
    for label, sampler, prediction, order, options in EXACT:
        polynomial = np.polynomial.Polynomial(case.rng.uniform(0.5, 1.5, size=order))
        error = quadrature_error(
            sampler, timesteps.tolist(), polynomial, prediction, order=order, **options
        )
        residuals[label] = max(residuals[label], abs(error))
    return residuals


@check(
    "dpm-solver-multistep", "dpmpp-2m", "dpmpp-3m", "unip",
    method="Lagrange polynomials integrated by quadrature", tolerance=1e-10, cases=len(SCHEDULES),
)  # fmt: skip
def multistep_weights_by_quadrature(case: Case) -> dict[str, float]:
    """Multistep solvers with given random estimates against weights that are integrals."""
    p, timesteps, x = problem(case, 6)
    x, m = to_host(x), case.rng.standard_normal((6, 5))
    residuals = dict.fromkeys(("dpm-solver-multistep", "dpmpp-2m", "dpmpp-3m", "unip"), 0.0)
    for order in (1, 2, 3):
        for prediction in ("eps", "x0"):
            expected = adams_states(p, timesteps, x, m, prediction == "eps", order)
            name = "dpm-solver-multistep" if prediction == "eps" else "dpmpp-multistep"
            found = states_from_estimates(
                case, name, p, x, timesteps, m, prediction, order=order, midpoint=False
            )
            label = name if prediction == "eps" else f"dpmpp-{max(2, order)}m"
            residuals[label] = max(residuals[label], relative(found, expected))
            found = states_from_estimates(
                case, "unipc", p, x, timesteps, m, prediction,
                order=order, variant="exact", corrector=False, prediction=prediction,
            )  # fmt: skip
            residuals["unip"] = max(residuals["unip"], relative(found, expected))
    return residuals


#: Solvers with a choice of start: label, name, options; order and prediction of the first step.
STARTS: tuple[tuple[str, str, dict[str, Any], int, str], ...] = (
    ("dpm-solver-multistep", "dpm-solver-multistep", {"order": 3}, 2, "eps"),
    ("dpm-solver-multistep", "dpm-solver-multistep", {"order": 2}, 1, "eps"),
    ("dpmpp-3m", "dpmpp-multistep", {"order": 3}, 2, "x0"),
    ("deis-step", "deis", {"order": 3}, 2, "eps"),
    ("deis-step", "deis", {"order": 2, "variable": "rho"}, 1, "eps"),
    ("unip", "unipc", {"order": 3}, 3, "x0"),
    ("unip", "unipc", {"order": 3, "prediction": "eps", "corrector": False}, 3, "eps"),
    ("unip", "unipc", {"order": 2, "prediction": "eps"}, 1, "eps"),
)


@check(
    *dict.fromkeys(label for label, *_ in STARTS),
    method="the first step of the singlestep solver", tolerance=1e-12, cases=len(SCHEDULES),
)  # fmt: skip
def singlestep_starts(case: Case) -> dict[str, float]:
    """The first step of a multistep solver against that of the singlestep solver."""
    p, timesteps, x = problem(case, 3)
    residuals = dict.fromkeys((label for label, *_ in STARTS), 0.0)
    for label, name, options, order, prediction in STARTS:
        p.calls.clear()
        started = trajectory(name, p, x, timesteps, start="singlestep", **options)
        calls = len(p.calls)
        first = trajectory("dpm-solver", p, x, timesteps[:2], order=order, prediction=prediction)
        residual = relative(started[0], to_host(first[0])) if calls == order + 2 else np.inf
        residuals[label] = max(residuals[label], residual)
    return residuals
