"""What is known in closed form of a distribution of data, at every time."""

from abc import ABC, abstractmethod

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.exact.quadrature import DRAWS
from npdiff.random import Key
from npdiff.schedules import LinearVP, Schedule, Times


class Distribution(ABC):
    """A distribution of data and its marginals q(x_t) under any schedule.

    Where a schedule's signal scale is 0, x_t says nothing of the data: E[x_0 | x_t] is their mean.
    At t = 0 it says all: E[x_0 | x_0] = x_0, and what is left to know of the noise is its mean, 0.

    Attributes
    ----------
    size : int
        D, the numbers that make a sample.
    draws : int
        How many draws stand for the distribution where there is no rule of quadrature.
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
        """log q(x_t = x) in nats, (N,); at t = 0 the likelihood of data."""

    @abstractmethod
    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        """Where the probability-flow ODE carries x from time t to time s, either way."""

    @abstractmethod
    def sample(self, key: Key) -> np.ndarray:
        """(N, D) samples, float64 on the host: one for each of the key's samples."""

    def denoiser(self, schedule: Schedule) -> Denoise:
        """The perfect denoiser: (E[x_0 | x_t], E[eps | x_t])."""

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
        precision = 1.0 / noisy(schedule, t, "the score by Tweedie's formula") ** 2
        x_0 = self.denoised(schedule, x, t)
        alpha = schedule.alpha(t)
        return per_sample(alpha * precision, x) * x_0 - per_sample(precision, x) * x

    def jacobian(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""How the denoiser answers to a change of its input, (N, D, D); for t > 0.

        .. math::
            :label: denoiser-jacobian

            \frac{\partial\, \mathbb E[x_0 \mid x_t]}{\partial x_t}
            = \frac{\alpha_t}{\sigma_t^2}\, \operatorname{Var}[x_0 \mid x_t]

        A perfect denoiser's Jacobian is therefore symmetric and has no negative eigenvalue.

        Notes
        -----
        Efron 2011, section 2, in more dimensions.
        """
        slope = schedule.alpha(t) / noisy(schedule, t, "the Jacobian of the denoiser") ** 2
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
        Efron 2011, section 2, in more dimensions.
        """
        precision = 1.0 / noisy(schedule, t, "the Hessian of log q") ** 2
        ratio = schedule.alpha(t) ** 2 * precision**2
        covariance = self.covariance(schedule, x, t)
        one = beside(np.eye(self.size), covariance)
        return per_sample(ratio, covariance) * covariance - per_sample(precision, covariance) * one

    def spread(self, schedule: Schedule, t: float) -> float:
        r"""What the best denoiser cannot know: its mean squared error, per number of a sample.

        .. math::
            :label: spread

            c_t = \frac1D\, \mathbb E\, \lVert x_0 - \mathbb E[x_0 \mid x_t] \rVert^2
            = \frac1D\, \mathbb E\, \operatorname{tr} \operatorname{Var}[x_0 \mid x_t]

        It is what the loss of a perfect network comes to, and what the optimal variance of a
        reverse step is made of. In closed form for Gaussians; for others a quadrature in one
        dimension, and in two for mixtures and points; elsewhere the mean over ``draws`` draws.

        Notes
        -----
        Bao et al. 2022 (Analytic-DPM), section 3.
        """
        x, weights = self.nodes(schedule, t)
        return float(weights @ self.posterior_variance_spread(schedule, x, t)) / self.size

    def posterior_variance_spread(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """tr Var[x_0 | x_t = x], (N,)."""
        return namespace(x).einsum("nii->n", self.covariance(schedule, x, t))

    def entropy(self) -> float:
        r"""The differential entropy of the data in nats.

        .. math::
            :label: differential-entropy

            h(x_0) = -\mathbb E \log q(x_0)

        No model's negative log-likelihood is lower on average. In closed form for Gaussians and
        uniform data; a quadrature for mixtures in one and two dimensions, the mean over ``draws``
        draws in more.
        """
        schedule = LinearVP()  # at t = 0 all schedules are one
        x, weights = self.nodes(schedule, 0.0)
        return -float(weights @ self.log_density(schedule, x, 0.0))

    def nodes(self, schedule: Schedule, t: float) -> tuple[np.ndarray, np.ndarray]:
        """Points (M, D) and weights (M,) whose weighted sums are means over q(x_t).

        Here draws, always the same ones, of equal weight: their error falls as 1 / sqrt(M).
        """
        key = Key(0, range(self.draws), stream="nodes")
        noise = key.fold("noise").normal((self.size,))
        x = schedule.alpha(t) * self.sample(key.fold("data")) + schedule.sigma(t) * noise
        return x, np.full(self.draws, 1.0 / self.draws)


def beside(a: np.ndarray, x: Array) -> Array:
    """A host array where ``x`` is, in the dtype of ``x``."""
    return namespace(x).asarray(a, dtype=x.dtype)


def flat(x: Array, size: int) -> Array:
    """``x`` as (N, D), of which D is checked."""
    rows = x.reshape(x.shape[0], -1)
    if rows.shape[1] != size:
        raise InputError(f"expected samples of {size} numbers, got {rows.shape[1]}")
    return rows


def columns(*scales: np.ndarray) -> list[np.ndarray]:
    """Host coefficients as (N, 1) arrays, or (1, 1) where one serves all samples."""
    return [np.reshape(a, (-1, 1)) for a in scales]


def noisy(schedule: Schedule, t: Times, what: str) -> np.ndarray:
    """The noise scale, where ``what`` divides by it.

    Raises
    ------
    InputError
        If there is no noise.
    """
    sigma = schedule.sigma(t)
    if not np.all(sigma > 0.0):
        raise InputError(f"{what} divides by the noise scale, and at t = 0 there is no noise")
    return sigma
