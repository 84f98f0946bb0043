"""Inpainting: convergence to the conditional distribution, noise indices, steps, errors."""

from collections.abc import Callable

import numpy as np
import pytest

from npdiff.editing import repaint, resampling_path
from npdiff.errors import InputError
from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.checks.editing._normal_data import DATA
from npdiff.laboratory.checks.editing.inpainting import inpainted
from npdiff.laboratory.registry import Case
from npdiff.random import Key
from npdiff.samplers import keyed_noise
from npdiff.schedules import LinearVP
from npdiff.spacings import SPACINGS

SCHEDULE = LinearVP()
MASK = np.array([True, False, False])


def distribution(steps: int, resamplings: int, value: float = 1.6) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the two unknown entries."""
    timesteps = SPACINGS["log-snr"](SCHEDULE, steps)
    mean, covariance, _ = inpainted(
        Case("figures"), SCHEDULE, timesteps, np.array([value, 0.0, 0.0]), MASK,
        jump=1, resamplings=resamplings,
    )  # fmt: skip
    return mean[1:], covariance[1:, 1:]


def test_the_mean_tends_to_the_conditional_as_one_over_resamplings() -> None:
    """Replacement alone misses over a fifth of the shift; twice the resamplings halve the error."""
    truth = DATA.conditional(MASK, 1.6).mean
    off = [np.abs(distribution(20, r)[0] - truth).max() for r in (1, 2, 5, 10)]
    np.testing.assert_allclose(off, [0.182, 0.092, 0.031, 0.0138], rtol=0.01)
    weight = DATA.mean[1] - truth[0]
    assert abs(off[0] / weight) > 0.2
    assert abs(off[2] / off[3] - 2) < 0.3


def test_the_correlation_and_the_standard_deviation_tend_to_the_conditional() -> None:
    """The correlation with more resamplings; the standard deviation with more steps."""
    rest = DATA.conditional(MASK, 1.6)
    truth = rest.axes @ np.diag(rest.variances) @ rest.axes.T

    def correlation(C: np.ndarray) -> float:
        return C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])

    found = [correlation(distribution(20, r)[1]) for r in (1, 2, 5)]
    np.testing.assert_allclose(found, [0.377, 0.475, 0.539], atol=0.002)
    assert correlation(truth) == pytest.approx(0.5735, abs=1e-4)
    ratios = [np.sqrt(np.diag(distribution(n, 2)[1]) / np.diag(truth)).min() for n in (20, 50, 100)]
    np.testing.assert_allclose(ratios, [0.817, 0.920, 0.962], atol=0.002)


def test_resampling_makes_the_entries_of_a_mixture_agree() -> None:
    """The known entry selects one of two clusters with odds of 1800 to 1; the other must agree."""
    data = Mixture([1, 1], [Gaussian([0.5, 0.5], 0.04), Gaussian([-0.5, -0.5], 0.04)])
    N, mask = 400, np.array([True, False])
    known = np.tile([0.3, 0.0], (N, 1))
    key = Key(3, range(N))
    x = key.fold("start").normal((2,))
    timesteps = SPACINGS["log-snr"](SCHEDULE, 20)
    right = {}
    for r in (1, 8):
        steps = repaint(
            data.denoiser(SCHEDULE), SCHEDULE, x, timesteps, known=known, mask=mask, jump=2,
            noise=keyed_noise(key.fold("noise"), x), resamplings=r,
        )  # fmt: skip
        end = list(steps)[-1].x
        assert (end[:, 0] == 0.3).all()
        right[r] = (end[:, 1] > 0).mean()
    assert right[1] < 0.82
    assert right[8] > 0.96


Call = Callable[..., list]


@pytest.fixture
def run() -> Call:
    def call(x: np.ndarray, mask: object, draws: list[int] | None = None, **how: object) -> list:
        def noise(i: int) -> np.ndarray:
            if draws is not None:
                draws.append(i)
            return np.full(x.shape, 0.1, dtype=x.dtype)

        data = Gaussian(np.zeros(x[0].size), 0.5)
        timesteps = SPACINGS["trailing"](SCHEDULE, 6)
        known = np.ones_like(x)
        args = {"known": known, "mask": mask, "noise": noise, "jump": 2, "resamplings": 3} | how
        return list(repaint(data.denoiser(SCHEDULE), SCHEDULE, x, timesteps, **args))

    return call


def test_known_entries_stay_and_every_move_yields_a_step(run: Call) -> None:
    x = np.zeros((2, 4, 4, 1), dtype=np.float32)
    mask = np.zeros((4, 4, 1), dtype=bool)
    mask[:, :2] = True
    steps = run(x, mask)
    assert [step.t for step in steps] == pytest.approx(
        [k / 6 for k in resampling_path(6, 2, 3)[1:]]
    )
    assert steps[-1].x.dtype == np.float32
    np.testing.assert_array_equal(steps[-1].x[:, :, :2], 1.0)
    assert (np.abs(steps[-1].x[:, :, 2:]) < 0.9).all()
    np.testing.assert_array_equal(run(x, np.ones(1, dtype=bool))[-1].x, 1.0)


@pytest.mark.parametrize("how", [{}, {"sampler": "predictor-corrector"}, {"sampler": "dpmpp-sde"}])
def test_no_noise_index_is_used_twice(run: Call, how: dict[str, object]) -> None:
    draws: list[int] = []
    run(np.zeros((1, 2)), np.array([True, False]), draws, **how)
    assert len(draws) > 20
    assert len(set(draws)) == len(draws)


def test_with_an_empty_mask_repaint_equals_the_sampler() -> None:
    from npdiff.samplers import sample

    data, timesteps = Gaussian([0.5, 0.1], 0.3), SPACINGS["trailing"](SCHEDULE, 5)
    x = np.ones((1, 2))
    denoise = data.denoiser(SCHEDULE)
    expected = list(sample("ddim", denoise, SCHEDULE, x, timesteps))[-1].x
    steps = repaint(
        denoise, SCHEDULE, x, timesteps, known=x, mask=np.array(False), noise=lambda i: x,
        resamplings=1, sampler="ddim",
    )  # fmt: skip
    np.testing.assert_allclose(list(steps)[-1].x, expected, rtol=1e-14)


def test_invalid_arguments_are_refused_before_the_first_step() -> None:
    denoise, x = DATA.denoiser(SCHEDULE), np.zeros((1, 3))
    timesteps = np.array([1.0, 0.5, 0.0])
    for how, match in (
        ({"known": np.zeros((1, 2))}, "known must have"),
        ({"mask": np.ones(3)}, "mask must be boolean"),
        ({"mask": np.ones(4, dtype=bool)}, "mask must be boolean"),
        ({"mask": np.ones((2, 3), dtype=bool)}, "mask must be boolean"),
        ({"jump": 0}, "must be at least 1"),
        ({"resamplings": 0}, "must be at least 1"),
    ):
        args = {"known": x, "mask": MASK, "noise": lambda i: x} | how
        with pytest.raises(InputError, match=match):
            repaint(denoise, SCHEDULE, x, timesteps, **args)


def test_a_sampler_step_with_too_many_draws_is_refused() -> None:
    """A step with more draws than one move reserves would share noise with the next move."""
    denoise, x = DATA.denoiser(SCHEDULE), np.zeros((1, 3))
    steps = repaint(
        denoise, SCHEDULE, x, np.array([1.0, 0.5, 0.0]), known=x, mask=MASK, noise=lambda i: x,
        resamplings=1, sampler="predictor-corrector", corrections=63,
    )  # fmt: skip
    with pytest.raises(InputError, match="at most 63 times"):
        next(steps)
