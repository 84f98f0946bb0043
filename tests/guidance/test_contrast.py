"""Rescaling and thresholding: constant outputs, small outputs, float32, a device."""

import numpy as np
import pytest

from npdiff.backend import to_host
from npdiff.errors import InputError
from npdiff.guidance import dynamic_threshold, rescale_cfg
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import linear_betas
from npdiff.verify import strict

SCHEDULE = linear_betas()
T = 400.0
ALPHA, SIGMA = float(SCHEDULE.alpha(T)), float(SCHEDULE.sigma(T))
X = np.random.default_rng(0).normal(size=(3, 4, 3))


def denoiser_of(x_0):
    """A denoiser with a fixed x0_hat."""
    return lambda x, t: (x_0, (x - ALPHA * x_0) / SIGMA)


@pytest.mark.parametrize("level", [0.7, 0.0, -1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_guided_output_is_unchanged(level: float, dtype: type) -> None:
    """Its standard deviation is 0 or rounding error: division would give NaN or 1e16."""
    x = X.astype(dtype)
    flat = np.full_like(x, level)
    flat[1] = 2.0 * x[1]
    x_0, eps = rescale_cfg(denoiser_of(flat), denoiser_of(3.0 * x), SCHEDULE, 1.0)(x, T)
    np.testing.assert_allclose(x_0[[0, 2]], flat[[0, 2]], rtol=1e-6)
    np.testing.assert_allclose(x_0[1], 3.0 * x[1], rtol=1e-5)
    assert x_0.dtype == eps.dtype == dtype


def test_a_constant_conditional_output_leaves_one_minus_phi() -> None:
    x_0, _ = rescale_cfg(denoiser_of(X), denoiser_of(np.ones_like(X)), SCHEDULE, 0.5)(X, T)
    np.testing.assert_allclose(x_0, 0.5 * X, rtol=1e-12)


def test_rescaling_depends_on_the_prediction_type() -> None:
    """Rescaling x0, v and eps gives three different x0_hat."""
    cond = np.random.default_rng(1).normal(size=X.shape)
    found = [
        rescale_cfg(
            denoiser_of(3.0 * cond + 0.2),
            denoiser_of(cond),
            SCHEDULE,
            1.0,
            PARAMETERIZATIONS[parameterization],
        )(X, T)[0]
        for parameterization in ("x0", "v", "eps")
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(found[i] - found[j]).max() > 0.1
    assert found[0].std(axis=(1, 2)) == pytest.approx(cond.std(axis=(1, 2)))


@pytest.mark.parametrize("phi", [-0.1, 1.1, float("nan")])
def test_phi_out_of_range_is_rejected(phi: float) -> None:
    with pytest.raises(InputError, match="phi"):
        rescale_cfg(denoiser_of(X), denoiser_of(X), SCHEDULE, phi)


@pytest.mark.parametrize("quantile", [-0.1, 1.1, float("nan")])
def test_quantile_out_of_range_is_rejected(quantile: float) -> None:
    with pytest.raises(InputError, match="quantile"):
        dynamic_threshold(denoiser_of(X), SCHEDULE, quantile)


def test_thresholding_never_enlarges() -> None:
    """s is at least 1, so values within [-1, 1] stay; s = max |x_0| would double them."""
    small = 0.5 * X / np.abs(X).max()
    x_0, _ = dynamic_threshold(denoiser_of(small), SCHEDULE)(X, T)
    np.testing.assert_allclose(x_0, small, rtol=1e-13)


def test_thresholding_is_per_sample() -> None:
    """Independent of the batch; a single element is its own quantile."""
    large = X * np.array([1.0, 50.0, 1.0])[:, None, None]
    together, _ = dynamic_threshold(denoiser_of(large), SCHEDULE, 0.9)(X, T)
    alone, _ = dynamic_threshold(denoiser_of(large[:1]), SCHEDULE, 0.9)(X[:1], T)
    np.testing.assert_array_equal(together[:1], alone)
    assert np.abs(together).max() == 1.0
    one, _ = dynamic_threshold(denoiser_of(np.array([[4.0]])), SCHEDULE)(np.ones((1, 1)), T)
    assert one.item() == 1.0


def test_rescaling_and_thresholding_do_not_synchronize_a_device() -> None:
    x = strict.xp.asarray(X.astype(np.float32))
    with strict.transfers() as moves:
        guided = rescale_cfg(
            denoiser_of(3.0 * x), denoiser_of(x), SCHEDULE, 0.7, PARAMETERIZATIONS["v"]
        )
        x_0, eps = dynamic_threshold(guided, SCHEDULE, 0.9)(x, T)
    assert moves == strict.Transfers()
    host = X.astype(np.float32)
    guided = rescale_cfg(
        denoiser_of(3.0 * host), denoiser_of(host), SCHEDULE, 0.7, PARAMETERIZATIONS["v"]
    )
    for found, expected in zip(
        (x_0, eps), dynamic_threshold(guided, SCHEDULE, 0.9)(host, T), strict=True
    ):
        np.testing.assert_array_equal(to_host(found), expected)
