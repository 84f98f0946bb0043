"""Measured orders: errors of other implementations, uneven steps, the effect of the first steps."""

import numpy as np
import pytest

from npdiff.laboratory.orders import (
    CLAIMS,
    TEST_PROBLEMS,
    Claim,
    measure,
    samplers_without_claim,
)
from npdiff.samplers import SAMPLERS, euler_maruyama, heun
from npdiff.verify.convergence import DATA, TOLERANCE


def test_the_solution_of_the_first_problem() -> None:
    """The ends of 20 000 steps of the Runge-Kutta method."""
    known = [-1.25044499, -1.01968166, 0.22903414, 0.45059494, 0.59312659, 0.80411135]
    np.testing.assert_allclose(TEST_PROBLEMS["ve"].solution.ravel(), known, atol=6e-9)
    np.testing.assert_array_equal(
        TEST_PROBLEMS["ve"].x.ravel(), 20.0 * np.array([-1.7, -0.9, -0.2, 0.1, 0.5, 1.3])
    )


def test_timesteps_are_even_in_log_snr_with_exact_ends() -> None:
    for problem in TEST_PROBLEMS.values():
        timesteps = problem.timesteps(7)
        assert (timesteps[0], timesteps[-1], timesteps.size) == (problem.start, problem.end, 8)
        log_snr = problem.schedule.log_snr(timesteps)
        np.testing.assert_allclose(np.diff(log_snr, 2), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("sampler", "options", "known"),
    [
        ("ddim", {}, {24: 3.46e-2, 96: 8.85e-3}),
        ("heun", {}, {24: 4.5e-3, 96: 2.6e-4}),
        ("dpmpp-2s", {}, {24: 5.4e-3, 96: 4.2e-4}),
        ("dpmpp-multistep", {"order": 2}, {24: 7.2e-3, 96: 6.0e-4}),
        ("dpm-solver-multistep", {"order": 2}, {24: 9.8e-3, 96: 8.3e-4}),
        ("dpmpp-multistep", {"order": 3, "legacy": True}, {24: 5.1e-3, 96: 1.5e-4}),
        ("dpmpp-multistep", {"order": 3}, {24: 4.8e-3, 96: 6.1e-5, 384: 7.2e-7}),
        ("unipc", {"order": 1}, {24: 1.3e-2, 384: 7.3e-5}),
        ("unipc", {"order": 2}, {24: 5.4e-3, 384: 1.5e-6}),
        ("unipc", {"order": 3}, {24: 2.4e-3, 384: 4.2e-8}),
        ("unipc", {"order": 2, "corrector": False}, {24: 7.2e-3}),
        ("unipc", {"order": 3, "corrector": False}, {24: 4.8e-3}),
        ("deis", {"order": 1, "variable": "log-rho"}, {24: 3.5e-2}),
        ("deis", {"order": 2, "variable": "log-rho"}, {24: 1.1e-2}),
        ("deis", {"order": 3, "variable": "log-rho"}, {24: 5.7e-3}),
    ],
)
def test_errors_equal_those_of_public_implementations(
    sampler: str, options: dict, known: dict
) -> None:
    """Public implementations of these solvers, measured on the first problem to two digits."""
    errors = [TEST_PROBLEMS["ve"].solve(sampler, N, options)[0] for N in known]
    np.testing.assert_allclose(errors, list(known.values()), rtol=0.04)


@pytest.mark.parametrize(
    ("sampler", "options", "low", "full"),
    [
        ("dpm-solver-multistep", {"order": 3}, 2, 3),
        ("dpmpp-multistep", {"order": 3}, 2, 3),
        ("deis", {"order": 3, "variable": "log-rho"}, 2, 3),
        ("unipc", {"order": 3}, 3, 4),
        ("unipc", {"order": 3, "corrector": False}, 2, 3),
    ],
)
def test_a_singlestep_start_keeps_the_order_from_a_late_start(sampler, options, low, full) -> None:
    """A first step of order one costs an order; a singlestep start does not."""
    for start, order in (("low", low), ("singlestep", full)):
        claim = Claim(sampler, order, "", {**options, "start": start})
        assert measure(claim, "late", (128, 256)).slope == pytest.approx(order, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("sampler", "order", "options"),
    [
        ("dpmpp-multistep", 2, {"order": 2}),
        ("dpmpp-multistep", 3, {"order": 3, "start": "singlestep"}),
        ("dpm-solver-multistep", 3, {"order": 3, "start": "singlestep"}),
        ("unipc", 3, {"order": 2}),
        ("unipc", 4, {"order": 3, "start": "singlestep"}),
        ("deis", 3, {"order": 3, "start": "singlestep"}),
        ("deis", 3, {"order": 3, "variable": "rho", "start": "singlestep"}),
    ],
)
def test_the_order_with_uneven_steps(sampler: str, order: int, options: dict) -> None:
    """Every second step is twice as long as its neighbors."""
    problem, errors = TEST_PROBLEMS["late"], []
    for N in (192, 384):
        lengths = np.where(np.arange(N) % 2 == 0, 2.0, 1.0)
        fractions = np.concatenate([[0.0], np.cumsum(lengths)]) / lengths.sum()
        ends = problem.schedule.log_snr(np.array([problem.start, problem.end]))
        timesteps = problem.schedule.time_at(ends[0] + fractions * (ends[1] - ends[0]))
        timesteps[0], timesteps[-1] = problem.start, problem.end
        denoise = DATA.denoiser(problem.schedule)
        *_, last = SAMPLERS[sampler](denoise, problem.schedule, problem.x, timesteps, **options)
        errors.append(np.abs(last.x - problem.solution).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=TOLERANCE)


def test_the_published_third_order_formula_has_order_two() -> None:
    """Its error relative to the corrected form: equal with few steps, ten times with many."""
    ratios = [
        TEST_PROBLEMS["ve"].solve("dpmpp-multistep", N, {"order": 3, "legacy": True})[0]
        / TEST_PROBLEMS["ve"].solve("dpmpp-multistep", N, {"order": 3})[0]
        for N in (12, 24, 48, 96, 192, 384)
    ]
    np.testing.assert_allclose(ratios, [0.83, 1.05, 1.47, 2.5, 4.9, 10.2], rtol=0.02)


def test_names_of_claims_are_unique() -> None:
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    assert {claim.sampler for claim in CLAIMS} <= set(SAMPLERS)
    assert Claim("ddim", 1, "", {"eta": 0.0}).name == "ddim eta=0.0"


def test_every_deterministic_sampler_has_a_measured_order() -> None:
    """A new entry of ``SAMPLERS`` that needs no noise has to claim its order in ``CLAIMS``."""
    assert samplers_without_claim() == []


def test_a_new_deterministic_sampler_without_a_claim_is_found() -> None:
    new = {"new": heun, "new-with-noise": euler_maruyama}
    found = samplers_without_claim({**SAMPLERS, **new})
    assert "new" in found
    assert "new-with-noise" not in found
