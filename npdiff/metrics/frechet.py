"""The Fréchet distance between Gaussians fitted to features: with Inception's features, FID."""

import numpy as np

from npdiff.backend import Array
from npdiff.errors import InputError
from npdiff.metrics.features import check_features


def frechet_distance(x: Array, y: Array) -> float:
    """The squared Fréchet distance between the Gaussians fitted to two sets of features.

    It is biased upwards by about 1 / N, because the fitted covariances are noisy: compare only
    values with the same numbers of samples, and with the value that real data reach.

    Parameters
    ----------
    x, y : arrays, shape (N, D) and (M, D), at least two samples each

    Examples
    --------
    >>> x = np.array([[0.0], [2.0]])
    >>> round(frechet_distance(x, x + 3.0), 9)
    9.0

    Raises
    ------
    InputError
        If there are fewer than two samples, or features that are not finite.

    Notes
    -----
    Heusel et al. 2017, Eq. 6.
    """
    x, y = check_features(2, x=x, y=y)
    return frechet_of_gaussians(*fit_gaussian(x), *fit_gaussian(y))


def fit_gaussian(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Mean (D,) and unbiased covariance (D, D) of features (N, D), float64.

    .. math::
        :label: fitted-gaussian

        \mu = \frac1N \sum_i x_i, \qquad
        \Sigma = \frac{1}{N - 1} \sum_i (x_i - \mu)(x_i - \mu)^\top
    """
    mean = x.mean(axis=0)
    centered = x - mean
    return mean, centered.T @ centered / (len(x) - 1)


def frechet_of_gaussians(
    mean_x: np.ndarray, cov_x: np.ndarray, mean_y: np.ndarray, cov_y: np.ndarray
) -> float:
    r"""The squared Fréchet (2-Wasserstein) distance between two Gaussians.

    .. math::
        :label: frechet-distance

        d^2 = \lVert \mu_x - \mu_y \rVert^2
            + \operatorname{tr} \Sigma_x + \operatorname{tr} \Sigma_y
            - 2 \operatorname{tr} \big( \Sigma_x^{1/2} \Sigma_y \Sigma_x^{1/2} \big)^{1/2}

    Parameters
    ----------
    mean_x, mean_y : shape (D,)
    cov_x, cov_y : shape (D, D), symmetric positive semidefinite, possibly singular

    Raises
    ------
    InputError
        If a covariance has a negative eigenvalue.

    Notes
    -----
    With :math:`\Sigma_x = A A^\top` and :math:`\Sigma_y = B B^\top` the last trace is the sum of
    the singular values of :math:`A^\top B`, and the factors come from symmetric
    eigendecompositions. This avoids the square root of a non-symmetric matrix, complex values, a
    regularized diagonal, and rounding errors that a square root near zero magnifies.

    Dowson and Landau 1982.
    """
    a, b = _factor(cov_x), _factor(cov_y)
    overlap = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    shift = np.sum((mean_x - mean_y) ** 2)
    return float(max(shift + np.trace(cov_x) + np.trace(cov_y) - 2.0 * overlap, 0.0))


def _factor(cov: np.ndarray) -> np.ndarray:
    """A with A A^T = cov."""
    eigenvalues, vectors = np.linalg.eigh(cov)
    if eigenvalues[0] < -1e-9 * max(eigenvalues[-1], 1e-300):
        raise InputError(
            f"a covariance must be positive semidefinite, got the eigenvalue {eigenvalues[0]:.3g}"
        )
    return vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
