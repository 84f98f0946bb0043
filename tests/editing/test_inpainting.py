"""Inpainting: how near resampling comes to the truth, what it draws and returns, its refusals."""

from collections.abc import Callable

import numpy as np
import pytest

from npdiff.editing import inpaint, walk
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


def law(steps: int, resamplings: int, value: float = 1.6) -> tuple[np.ndarray, np.ndarray]:
    """Of the two unknown numbers."""
    grid = SPACINGS["log-snr"](SCHEDULE, steps)
    mean, covariance, _ = inpainted(
        Case("figures"), SCHEDULE, grid, np.array([value, 0.0, 0.0]), MASK,
        jump=1, resamplings=resamplings,
    )  # fmt: skip
    return mean[1:], covariance[1:, 1:]


def test_the_mean_tends_to_the_conditional_as_one_over_resamplings() -> None:
    """Replacement alone lacks a quarter of what the known number says; each doubling halves it."""
    truth = DATA.given(MASK, 1.6).mean
    off = [np.abs(law(20, r)[0] - truth).max() for r in (1, 2, 5, 10)]
    np.testing.assert_allclose(off, [0.182, 0.092, 0.031, 0.0138], rtol=0.01)
    weight = DATA.mean[1] - truth[0]
    assert abs(off[0] / weight) > 0.2
    assert abs(off[2] / off[3] - 2) < 0.3


def test_the_correlation_and_the_spread_tend_to_the_conditional() -> None:
    """The correlation with the resamplings; the spread with the steps, as DDPM's own does."""
    rest = DATA.given(MASK, 1.6)
    truth = rest.axes @ np.diag(rest.variances) @ rest.axes.T

    def correlation(C: np.ndarray) -> float:
        return C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])

    found = [correlation(law(20, r)[1]) for r in (1, 2, 5)]
    np.testing.assert_allclose(found, [0.377, 0.475, 0.539], atol=0.002)
    assert correlation(truth) == pytest.approx(0.5735, abs=1e-4)
    ratios = [np.sqrt(np.diag(law(n, 2)[1]) / np.diag(truth)).min() for n in (20, 50, 100)]
    np.testing.assert_allclose(ratios, [0.817, 0.920, 0.962], atol=0.002)


def test_the_halves_of_a_mixture_fit_together() -> None:
    """Two clusters, the first number says which, with odds of 1800 to 1: does the second listen?"""
    data = Mixture([1, 1], [Gaussian([0.5, 0.5], 0.04), Gaussian([-0.5, -0.5], 0.04)])
    N, mask = 400, np.array([True, False])
    known = np.tile([0.3, 0.0], (N, 1))
    key = Key(3, range(N))
    x = key.fold("start").normal((2,))
    timesteps = SPACINGS["log-snr"](SCHEDULE, 20)
    right = {}
    for r in (1, 8):
        steps = inpaint(
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
        return list(inpaint(data.denoiser(SCHEDULE), SCHEDULE, x, timesteps, **args))

    return call


def test_what_is_known_stays_and_every_move_is_told(run: Call) -> None:
    x = np.zeros((2, 4, 4, 1), dtype=np.float32)
    mask = np.zeros((4, 4, 1), dtype=bool)
    mask[:, :2] = True
    steps = run(x, mask)
    assert [step.t for step in steps] == pytest.approx([k / 6 for k in walk(6, 2, 3)[1:]])
    assert steps[-1].x.dtype == np.float32
    np.testing.assert_array_equal(steps[-1].x[:, :, :2], 1.0)
    assert (np.abs(steps[-1].x[:, :, 2:]) < 0.9).all()
    np.testing.assert_array_equal(run(x, np.ones(1, dtype=bool))[-1].x, 1.0)


@pytest.mark.parametrize("how", [{}, {"sampler": "predictor-corrector"}, {"sampler": "dpmpp-sde"}])
def test_no_draw_is_used_twice(run: Call, how: dict[str, object]) -> None:
    draws: list[int] = []
    run(np.zeros((1, 2)), np.array([True, False]), draws, **how)
    assert len(draws) > 20
    assert len(set(draws)) == len(draws)


def test_without_a_mask_it_is_the_sampler() -> None:
    from npdiff.samplers import sample

    data, timesteps = Gaussian([0.5, 0.1], 0.3), SPACINGS["trailing"](SCHEDULE, 5)
    x = np.ones((1, 2))
    denoise = data.denoiser(SCHEDULE)
    expected = list(sample("ddim", denoise, SCHEDULE, x, timesteps))[-1].x
    steps = inpaint(
        denoise, SCHEDULE, x, timesteps, known=x, mask=np.array(False), noise=lambda i: x,
        resamplings=1, sampler="ddim",
    )  # fmt: skip
    np.testing.assert_allclose(list(steps)[-1].x, expected, rtol=1e-14)


def test_refusals_come_before_the_first_move() -> None:
    denoise, x = DATA.denoiser(SCHEDULE), np.zeros((1, 3))
    timesteps = np.array([1.0, 0.5, 0.0])
    for how, match in (
        ({"known": np.zeros((1, 2))}, "known has shape"),
        ({"mask": np.ones(3)}, "a mask of booleans"),
        ({"mask": np.ones(4, dtype=bool)}, "a mask of booleans"),
        ({"mask": np.ones((2, 3), dtype=bool)}, "a mask of booleans"),
        ({"jump": 0}, "a walk takes"),
        ({"resamplings": 0}, "a walk takes"),
    ):
        args = {"known": x, "mask": MASK, "noise": lambda i: x} | how
        with pytest.raises(InputError, match=match):
            inpaint(denoise, SCHEDULE, x, timesteps, **args)


def test_a_step_keeps_to_its_own_draws() -> None:
    """A sampler that draws more in a step than a move has would share them with the next move."""
    denoise, x = DATA.denoiser(SCHEDULE), np.zeros((1, 3))
    steps = inpaint(
        denoise, SCHEDULE, x, np.array([1.0, 0.5, 0.0]), known=x, mask=MASK, noise=lambda i: x,
        resamplings=1, sampler="predictor-corrector", corrections=63,
    )  # fmt: skip
    with pytest.raises(InputError, match="may draw 63 times"):
        next(steps)
