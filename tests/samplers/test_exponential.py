"""Exponential integrators: infinite steps, numbers of evaluations, identities, rejected options."""

import math
from itertools import pairwise

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.laboratory import orders
from npdiff.samplers import SAMPLERS, ddim, sample
from npdiff.samplers._dpm_solver import budget_orders
from npdiff.samplers.exponential import PREDICTIONS, half_log_snr, phi
from npdiff.samplers.singlestep import intermediate_times, singlestep_update
from npdiff.schedules import SCHEDULES
from npdiff.spacings import trailing
from npdiff.verify import strict

SINGLESTEP = {"start": "singlestep"}
#: Solvers with options that cover their branches: name, options, evaluations per step, extra ones.
VARIANTS = {
    f"{name} {' '.join(map(str, options.values()))}": (name, options, each, extra)
    for name, options, each, extra in (
        ("dpm-solver", {"order": 1}, 1, 0),
        ("dpm-solver", {"order": 2}, 2, 0),
        ("dpm-solver", {"order": 3}, 3, 0),
        ("dpm-solver", {"order": 3, "prediction": "x0"}, 3, 0),
        ("dpm-solver-multistep", {"order": 1}, 1, 0),
        ("dpm-solver-multistep", {"order": 2}, 1, 0),
        ("dpm-solver-multistep", {"order": 3}, 1, 0),
        ("dpm-solver-multistep", {"order": 3, **SINGLESTEP}, 1, 1),
        ("dpmpp-2s", {}, 2, 0),
        ("dpmpp-multistep", {"order": 2}, 1, 0),
        ("dpmpp-multistep", {"order": 2, "midpoint": False}, 1, 0),
        ("dpmpp-multistep", {"order": 3}, 1, 0),
        ("dpmpp-multistep", {"order": 3, "legacy": True}, 1, 0),
        ("dpmpp-multistep", {"order": 3, **SINGLESTEP}, 1, 1),
        ("dpmpp-sde", {"order": 1, "eta": 1.0}, 1, 0),
        ("dpmpp-sde", {"order": 3, "eta": 0.4}, 1, 0),
        ("dpmpp-sde", {"order": 2, "eta": 0.0}, 1, 0),
        ("unipc", {"order": 1}, 1, 0),
        ("unipc", {"order": 2, "variant": "bh1"}, 1, 0),
        ("unipc", {"order": 3, "variant": "exact", "prediction": "eps"}, 1, 0),
        ("unipc", {"order": 3, **SINGLESTEP}, 1, 2),
        ("unipc", {"order": 3, "corrector": False}, 1, 0),
        ("deis", {"order": 1}, 1, 0),
        ("deis", {"order": 2, "variable": "rho"}, 1, 0),
        ("deis", {"order": 3, "variable": "log-rho"}, 1, 0),
        ("deis", {"order": 3}, 1, 0),
        ("deis", {"order": 3, **SINGLESTEP}, 1, 1),
    )
}
variants = pytest.mark.parametrize("variant", VARIANTS)
DATA = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))


def solve(variant: str, denoise, schedule, x, timesteps, noise=None):
    name, options, _, _ = VARIANTS[variant]
    noise = noise or (lambda i: np.full(x.shape, 0.3 - 0.2 * i))
    return list(sample(name, denoise, schedule, x, np.asarray(timesteps), noise, **options))


def test_phi_at_zero_at_minus_infinity_and_where_the_series_ends() -> None:
    for n in range(5):
        assert phi(n, -math.inf) == 0.0
        assert phi(n, 0.0) == 1.0 / math.factorial(n)
        for z in (-2.0, 2.0):  # where the series gives variant to the recurrence
            below, above = phi(n, np.nextafter(z, 0.0)), phi(n, np.nextafter(z, 2 * z))
            assert below == pytest.approx(above, rel=1e-14)


@pytest.mark.parametrize("schedule", ["vp", "edm", "rectified-flow", "zero-snr"])
@variants
def test_steps_of_infinite_length_are_of_first_order(variant: str, schedule: str) -> None:
    """To sigma = 0 a step returns x0_hat; from alpha = 0 it is DDIM's, or has only fresh noise.

    Warnings are errors here, so no infinities are subtracted.
    """
    schedule = SCHEDULES[schedule]()
    x = float(schedule.sigma(schedule.t_max)) * np.array([[0.4, -1.2], [0.1, 0.9]])
    denoise = DATA.denoiser(schedule)
    for timesteps in ([1.0, 0.0], [1.0, 0.4, 0.0], [1.0, 0.7, 0.4, 0.2, 0.0]):
        steps = solve(variant, denoise, schedule, x, schedule.t_max * np.array(timesteps))
        assert all(np.isfinite(step.x).all() for step in steps)
        np.testing.assert_array_equal(steps[-1].x, steps[-1].x0_hat)
    if schedule.alpha(schedule.t_max) == 0.0:
        timesteps = schedule.t_max * np.array([1.0, 0.6])
        (step,) = solve(variant, denoise, schedule, x, timesteps)
        (expected,) = ddim(denoise, schedule, x, timesteps)
        fresh = expected.x0_hat * schedule.alpha(timesteps[1]) + schedule.sigma(timesteps[1]) * 0.3
        stochastic = VARIANTS[variant][1].get("eta", 0.0) > 0.0
        np.testing.assert_allclose(step.x, fresh if stochastic else expected.x, rtol=1e-14)


@variants
def test_solvers_make_the_documented_number_of_evaluations(variant: str) -> None:
    """As listed per step plus the extra ones; one for a step of infinite length."""
    schedule, times = SCHEDULES["vp"](), []
    exact = DATA.denoiser(schedule)

    def denoise(x, t):
        times.append(t)
        return exact(x, t)

    _, _, each, extra = VARIANTS[variant]
    solve(variant, denoise, schedule, np.ones((1, 2)), np.linspace(1.0, 0.1, 7))
    assert len(times) == 6 * each + extra
    times.clear()
    solve(variant, denoise, schedule, np.ones((1, 2)), np.linspace(1.0, 0.0, 7))
    assert len(times) == 5 * each + 1 + extra
    assert min(times) > 0.0


@pytest.mark.parametrize(
    "variant", [v for v, (_, o, _, _) in VARIANTS.items() if o.get("eta", 0) == 0]
)
def test_solvers_are_exact_for_a_single_point(variant: str) -> None:
    """Both estimates are then constant along a trajectory, for any timesteps."""
    schedule = SCHEDULES["cosine-continuous"]()
    point, eps = np.array([[0.4, -0.9]]), np.array([[1.1, 0.3]])
    denoise = Gaussian(point[0], 0.0).denoiser(schedule)
    timesteps = np.array([0.97, 0.9, 0.55, 0.5, 0.2, 0.03])
    x = schedule.alpha(timesteps[0]) * point + schedule.sigma(timesteps[0]) * eps
    for step in solve(variant, denoise, schedule, x, timesteps):
        expected = schedule.alpha(step.t) * point + schedule.sigma(step.t) * eps
        np.testing.assert_allclose(step.x, expected, rtol=1e-9, atol=1e-12)


@variants
def test_device_results_equal_host_results(variant: str) -> None:
    """Without synchronization, and in float32."""
    schedule = SCHEDULES["linear"]()
    host = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    timesteps = trailing(schedule, 5)

    def denoise(x, t):
        a, b = float(schedule.alpha(t)), float(schedule.sigma(t))
        x_0 = 0.3 * x * x - 0.2
        return x_0, (x - a * x_0) / b

    def noise(i: int):
        return strict.xp.asarray(np.full(host.shape, 0.1 * i, np.float32))

    expected = solve(variant, denoise, schedule, host, timesteps, lambda i: noise(i).get())
    found = solve(variant, denoise, schedule, strict.xp.asarray(host), timesteps, noise)
    for a, b in zip(found, expected, strict=True):
        assert b.x.dtype == np.float32
        np.testing.assert_array_equal(a.x.get(), b.x)


def test_solvers_with_the_same_integrals_coincide() -> None:
    """Order 1 is DDIM; DEIS in log rho, UniP and the multistep solvers have the same integrals."""
    schedule = SCHEDULES["vp"]()
    denoise = orders.DATA.denoiser(schedule)
    x, timesteps = np.array([[0.4], [-1.2]]), np.array([0.9, 0.8, 0.5, 0.45, 0.3, 0.1])

    def end(name: str, **options) -> np.ndarray:
        *_, last = SAMPLERS[name](denoise, schedule, x, timesteps, **options)
        return last.x

    def same(*results: np.ndarray) -> None:
        for one, other in pairwise(results):
            np.testing.assert_allclose(one, other, rtol=1e-12)

    same(
        end("ddim"), end("dpm-solver", order=1), end("dpm-solver", order=1, prediction="x0"),
        end("dpm-solver-multistep", order=1), end("dpmpp-multistep", order=1),
        end("dpmpp-sde", order=1, eta=0.0), end("unipc", order=1, corrector=False),
        end("unipc", order=1, corrector=False, prediction="eps"), end("deis", order=1),
    )  # fmt: skip
    predictor = {"variant": "exact", "corrector": False}
    for order in (2, 3):
        same(
            end("dpm-solver-multistep", order=order, midpoint=False),
            end("deis", order=order, variable="log-rho"),
            end("unipc", order=order, prediction="eps", **predictor),
        )
        same(
            end("dpmpp-multistep", order=order, midpoint=False),
            end("unipc", order=order, **predictor),
            end("dpmpp-sde", order=order, midpoint=False, eta=0.0),
        )
    same(end("dpmpp-multistep"), end("unipc", corrector=False), end("dpmpp-sde", eta=0.0))
    same(end("dpmpp-2s"), end("dpm-solver", prediction="x0"))
    edm = SCHEDULES["edm"]()
    results = [
        list(SAMPLERS["deis"](orders.DATA.denoiser(edm), edm, x, 9.0 * timesteps, variable=name))[
            -1
        ].x
        for name in ("t", "rho")
    ]
    same(*results)  # time is rho on this schedule


def test_budget_is_the_number_of_evaluations() -> None:
    """A step of order p covers p of the timesteps and takes p evaluations."""
    schedule, times = SCHEDULES["vp"](), []

    def denoise(x, t):
        times.append(float(t))
        return DATA.denoiser(schedule)(x, t)

    timesteps = np.linspace(1.0, 0.04, 13)
    for order in (1, 2, 3):
        for N in range(1, 13):
            times.clear()
            part = timesteps[: N + 1]
            steps = list(
                sample("dpm-solver", denoise, schedule, np.ones((1, 2)), part, order=order,
                       budget=True)
            )  # fmt: skip
            assert len(times) == N
            assert [step.t for step in steps] == part[np.cumsum(budget_orders(N, order))].tolist()
            assert steps[-1].t == part[-1]


@pytest.mark.parametrize(
    ("N", "error"),
    [(23, 3.9e-3), (24, 2.0e-2), (95, 4.5e-4), (96, 9.8e-4), (383, 9.3e-6), (384, 7.1e-5)],
)
def test_error_of_order_three_with_the_step_lengths_of_public_code(N: int, error: float) -> None:
    """The measured error of public code's third-order singlestep solver with log-SNR spacing.

    If N is a multiple of 3 an additional evaluation makes the result worse: the last step, of order
    1, is as long as those of order 3. With ``budget``, where it is shorter, most of that is gone.
    """
    problem, prediction = orders.TEST_PROBLEMS["vp"], PREDICTIONS["x0"]
    denoise = orders.DATA.denoiser(problem.schedule)
    sizes = budget_orders(N, 3)
    timesteps, x = problem.timesteps(len(sizes)), problem.x
    ells = half_log_snr(problem.schedule, timesteps)
    between = intermediate_times(problem.schedule, ells, sizes)
    for (t, s), (a, b), inner in zip(pairwise(timesteps), pairwise(ells), between, strict=True):
        x = singlestep_update(
            prediction, denoise, problem.schedule, *denoise(x, t), inner, s, b - a
        )
    assert np.abs(x - problem.solution).max() == pytest.approx(error, rel=0.02)
    if N % 3 == 0:
        budgeted, _ = problem.solve(
            "dpm-solver", N, {"order": 3, "prediction": "x0", "budget": True}
        )
        assert budgeted < error / 2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dpm-solver", {"order": 4}, "unknown order 4: choose one of 1, 2, 3"),
        ("dpm-solver", {"prediction": "v"}, "unknown prediction 'v': choose one of eps, x0"),
        ("dpm-solver-multistep", {"order": 0}, "unknown order 0"),
        ("dpmpp-multistep", {"order": 5}, "unknown order 5"),
        ("dpmpp-multistep", {"start": "high"}, "unknown start 'high': choose one of low, single"),
        ("dpmpp-sde", {"order": 4}, "unknown order 4"),
        ("dpmpp-sde", {"eta": -0.1}, r"eta must be 0 \(deterministic\) or more .* got -0.1"),
        ("dpmpp-sde", {"eta": math.nan}, "eta must be 0"),
        ("dpmpp-sde", {"eta": math.inf}, "eta must be 0"),
        ("dpmpp-sde", {}, "needs noise"),
        ("unipc", {"order": 4}, "unknown order 4"),
        ("unipc", {"variant": "bh3"}, "unknown variant 'bh3': choose one of bh1, bh2, exact"),
        ("unipc", {"prediction": "v"}, "unknown prediction 'v'"),
        ("unipc", {"start": ""}, "unknown start ''"),
        ("deis", {"order": 0}, "unknown order 0"),
        ("deis", {"variable": "u"}, "unknown variable 'u': choose one of t, rho, log-rho"),
        ("deis", {"start": "x"}, "unknown start 'x'"),
    ],
)
def test_invalid_options_are_rejected(name: str, options: dict, message: str) -> None:
    schedule = SCHEDULES["vp"]()
    with pytest.raises(InputError, match=message):
        list(SAMPLERS[name](DATA.denoiser(schedule), schedule, np.ones((1, 2)),
                            np.array([1.0, 0.5, 0.0]), **options))  # fmt: skip
