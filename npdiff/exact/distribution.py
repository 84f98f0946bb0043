"""The interface of exact distributions: denoiser, score, density and flow at every time."""

from abc import ABC, abstractmethod

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.exact.quadrature import DRAWS
from npdiff.random import Key
from npdiff.schedules import LinearVP, Schedule, Times


class Distribution(ABC):
    """A data distribution and its marginals q(x_t) under any schedule.

    Where the signal scale is 0, x_t contains no information: E[x_0 | x_t] is the mean of the data.
    At t = 0, E[x_0 | x_0] = x_0, and the estimate of the noise is its mean, 0.

    Attributes
    ----------
    size : int
        D, the number of elements of a sample.
    draws : int
        The number of random samples that replace a quadrature where there is none.
    """

    size: int
    draws: int = DRAWS

    @abstractmethod
    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """E[x_0 | x_t = x], of the shape of ``x``."""

    @abstractmethod
    def covariance(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """Var[x_0 | x_t = x], (N, D, D)."""

    @abstractmethod
    def log_density(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """log q(x_t = x) in nats, (N,); at t = 0 the log-likelihood of data."""

    @abstractmethod
    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        """The solution of the probability-flow ODE at time s, from x at time t; s < t or s > t."""

    @abstractmethod
    def sample(self, key: Key) -> np.ndarray:
        """Samples, (N, D) float64 on the host: one per sample of the key."""

    def denoiser(self, schedule: Schedule) -> Denoise:
        """The exact denoiser: (E[x_0 | x_t], E[eps | x_t])."""

        def denoise(x: Array, t: Times) -> tuple[Array, Array]:
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            x_0 = self.denoised(schedule, x, t)
            inverse = np.divide(1.0, sigma, out=np.zeros_like(sigma), where=sigma > 0.0)
            return x_0, per_sample(inverse, x) * x - per_sample(alpha * inverse, x) * x_0

        return denoise

    def score(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The score of q(x_t), by Tweedie's formula; for t > 0.

        .. math::
            :label: tweedie

            \nabla_{x} \log q_t(x) = \frac{\alpha_t\, \mathbb E[x_0 \mid x_t = x] - x}{\sigma_t^2}

        Notes
        -----
        Robbins 1956; Efron 2011.
        """
        precision = 1.0 / positive_sigma(schedule, t, "the score by Tweedie's formula") ** 2
        x_0 = self.denoised(schedule, x, t)
        alpha = schedule.alpha(t)
        return per_sample(alpha * precision, x) * x_0 - per_sample(precision, x) * x

    def jacobian(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The Jacobian of E[x_0 | x_t] in x_t, (N, D, D); for t > 0.

        .. math::
            :label: denoiser-jacobian

            \frac{\partial\, \mathbb E[x_0 \mid x_t]}{\partial x_t}
            = \frac{\alpha_t}{\sigma_t^2}\, \operatorname{Var}[x_0 \mid x_t]

        The Jacobian of an exact denoiser is therefore symmetric and has no negative eigenvalue.

        Notes
        -----
        Efron 2011, section 2, generalized to D dimensions.
        """
        slope = schedule.alpha(t) / positive_sigma(schedule, t, "the Jacobian of the denoiser") ** 2
        covariance = self.covariance(schedule, x, t)
        return per_sample(slope, covariance) * covariance

    def hessian(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The Hessian of log q(x_t), by Tweedie's formula of second order, (N, D, D); for t > 0.

        .. math::
            :label: second-order-tweedie

            \nabla^2_x \log q_t(x)
            = \frac{1}{\sigma_t^2} \left( \frac{\alpha_t^2}{\sigma_t^2}
            \operatorname{Var}[x_0 \mid x_t = x] - I \right)

        Notes
        -----
        Efron 2011, section 2, generalized to D dimensions.
        """
        precision = 1.0 / positive_sigma(schedule, t, "the Hessian of log q") ** 2
        ratio = schedule.alpha(t) ** 2 * precision**2
        covariance = self.covariance(schedule, x, t)
        one = asarray_like(np.eye(self.size), covariance)
        return per_sample(ratio, covariance) * covariance - per_sample(precision, covariance) * one

    def mean_posterior_variance(self, schedule: Schedule, t: float) -> float:
        r"""The mean posterior variance c_t: the mean squared error of the exact denoiser.

        .. math::
            :label: mean-posterior-variance

            c_t = \frac1D\, \mathbb E\, \lVert x_0 - \mathbb E[x_0 \mid x_t] \rVert^2
            = \frac1D\, \mathbb E\, \operatorname{tr} \operatorname{Var}[x_0 \mid x_t]

        It is the lowest possible loss of a network that predicts x_0, and it determines the optimal
        variance of a reverse step. It is a closed form for Gaussians; for other distributions a
        quadrature in one dimension, and in two for mixtures and points; otherwise a mean over
        ``draws`` random samples.

        Notes
        -----
        Bao et al. 2022 (Analytic-DPM), section 3.
        """
        x, weights = self.nodes(schedule, t)
        return float(weights @ self.posterior_covariance_trace(schedule, x, t)) / self.size

    def posterior_covariance_trace(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """The trace of Var[x_0 | x_t = x], (N,)."""
        return namespace(x).einsum("nii->n", self.covariance(schedule, x, t))

    def entropy(self) -> float:
        r"""The differential entropy of the data in nats.

        .. math::
            :label: differential-entropy

            h(x_0) = -\mathbb E \log q(x_0)

        No model has a lower negative log-likelihood on average. It is a closed form for Gaussians
        and uniform data, a quadrature for mixtures in one and two dimensions, and otherwise a mean
        over ``draws`` random samples.
        """
        schedule = LinearVP()  # at t = 0 all schedules agree
        x, weights = self.nodes(schedule, 0.0)
        return -float(weights @ self.log_density(schedule, x, 0.0))

    def nodes(self, schedule: Schedule, t: float) -> tuple[np.ndarray, np.ndarray]:
        """Points (M, D) and weights (M,) whose weighted sums approximate means over q(x_t).

        By default ``draws`` random samples from a fixed key, with equal weights: the error is of
        order 1 / sqrt(M).
        """
        key = Key(0, range(self.draws), stream="nodes")
        noise = key.fold("noise").normal((self.size,))
        x = schedule.alpha(t) * self.sample(key.fold("data")) + schedule.sigma(t) * noise
        return x, np.full(self.draws, 1.0 / self.draws)


def asarray_like(a: np.ndarray, x: Array) -> Array:
    """A host array converted to the array module and the dtype of ``x``."""
    return namespace(x).asarray(a, dtype=x.dtype)


def short_repr(a: np.ndarray) -> str:
    """An array for a ``repr``: its elements if there are at most 9, else its shape."""
    return str(np.round(a, 4).tolist()) if a.size <= 9 else f"<array of shape {a.shape}>"


def flatten(x: Array, size: int) -> Array:
    """``x`` reshaped to (N, D)."""
    flat = x.reshape(x.shape[0], -1)
    if flat.shape[1] != size:
        raise InputError(f"expected samples with {size} values, got {flat.shape[1]}")
    return flat


def as_columns(*scales: np.ndarray) -> list[np.ndarray]:
    """Host coefficients as (N, 1) arrays, or (1, 1) if all samples share one."""
    return [np.reshape(a, (-1, 1)) for a in scales]


def positive_sigma(schedule: Schedule, t: Times, quantity: str) -> np.ndarray:
    """The noise scale at t, for a ``quantity`` that divides by it.

    Raises
    ------
    InputError
        If the noise scale is 0.
    """
    sigma = schedule.sigma(t)
    if not np.all(sigma > 0.0):
        raise InputError(f"{quantity} divides by the noise scale, which is 0 at t = 0: use t > 0")
    return sigma
