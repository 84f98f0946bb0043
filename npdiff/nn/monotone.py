"""A monotone network: the learned noise schedule of variational diffusion models."""

import numpy as np

from npdiff import tree
from npdiff.backend import Array, namespace, to_host
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable, forward_only
from npdiff.tree import Module


class MonotoneNetwork(Module):
    r"""An increasing function gamma on [0, 1] and its derivative, both differentiable.

    .. math::
        :label: monotone-network

        \gamma(u) = \gamma_0 + D\, \frac{g(u) - g(0)}{g(1) - g(0)},
        \qquad
        g(u) = u + \sum_k \omega_k\, \varsigma(\nu_k u + b_k),
        \qquad \varsigma(z) = \frac{1}{1 + e^{-z}}

    The gap D, the weights omega and the slopes nu are positive, each the softplus log(1 + exp(r))
    of an unconstrained parameter r; so gamma increases from gamma_0 to gamma_0 + D for all
    parameters. Its derivative is

    .. math::
        :label: monotone-derivative

        \gamma'(u) = D\, \frac{g'(u)}{g(1) - g(0)},
        \qquad
        g'(u) = 1 + \sum_k \omega_k \nu_k\, \varsigma'(\nu_k u + b_k)

    Let a_i and c_i be the cotangents of g and g' at the points u_i, which include 0 and 1. Then

    .. math::
        :label: monotone-pullback

        \bar\omega_k = \sum_i a_i \varsigma_{ik} + c_i \nu_k \varsigma'_{ik},
        \qquad
        \bar\nu_k = \sum_i u_i \bar z_{ik} + c_i \omega_k \varsigma'_{ik},
        \qquad
        \bar b_k = \sum_i \bar z_{ik},
        \qquad
        \bar z_{ik} = \omega_k \left(a_i \varsigma'_{ik} + c_i \nu_k \varsigma''_{ik}\right)

    Notes
    -----
    Kingma et al. 2021 (VDM), section 3.2 and appendix. Their first layer, an affine map of the
    scalar u, is absorbed into the other parameters: the normalization removes its effect.
    """

    low: Array
    gap: Array
    weight: Array
    slope: Array
    bias: Array

    @classmethod
    def init(
        cls, seed: int, *, width: int = 64, low: float = -13.3, high: float = 5.0
    ) -> "MonotoneNetwork":
        """``width`` sigmoids over [0, 1]; gamma starts almost linear, from ``low`` to ``high``.

        Raises
        ------
        InputError
            Unless low < high, both finite, and width is at least 1.
        """
        if width < 1 or not -np.inf < low < high < np.inf:
            raise InputError(
                f"expected finite low < high and width at least 1, got {low}, {high} and {width}"
            )
        rng = np.random.default_rng(seed)
        slope = rng.uniform(2.0, 10.0, width)
        bias = -slope * rng.uniform(0.0, 1.0, width)
        positive = (np.array([high - low]), np.full(width, 0.5 / width), slope)
        free = map(_inverse_softplus, positive)
        return cls(*(a.astype(np.float32) for a in (np.array([low]), *free, bias)))

    @differentiable
    def __call__(self, t: Array) -> Traced:
        """``t`` is ``(N,)`` in [0, 1]; ``dnetwork, dt = pullback(dgamma, dgamma_dot)``.

        Returns
        -------
        (gamma, gamma_dot) : ``(N,)`` each
        pullback
        """
        xp, dtype = namespace(t), t.dtype
        u = xp.concatenate([t, xp.arange(2, dtype=dtype)])  # (N + 2,), the last two are 0 and 1
        gap, weight, slope = (xp.logaddexp(r, 0 * r) for r in (self.gap, self.weight, self.slope))
        s = _logistic(u[:, None] * slope + self.bias)  # (N + 2, width)
        s_1 = s * (1.0 - s)  # the derivative of the logistic function
        g, g_dot = u + s @ weight, 1.0 + s_1 @ (weight * slope)
        span = g[-1] - g[-2]
        rate = gap / span
        risen = g[:-2] - g[-2]

        def monotone_network_pullback(dgamma: Array, dgamma_dot: Array) -> Cotangents:
            # ∂γ/∂D = (γ - γ₀) / D and ∂γ'/∂D = γ' / D
            dgap = (dgamma @ risen + dgamma_dot @ g_dot[:-2])[None] / span
            dspan = -rate * dgap
            last = xp.concatenate([-rate * dgamma.sum() - dspan, dspan])
            a = xp.concatenate([rate * dgamma, last])
            c = xp.concatenate([rate * dgamma_dot, xp.zeros(2, dtype=dtype)])
            s_2 = s_1 * (1.0 - 2.0 * s)  # the second derivative of the logistic function
            dz = weight * (a[:, None] * s_1 + c[:, None] * (slope * s_2))
            dweight = a @ s + slope * (c @ s_1)
            dslope = u @ dz + weight * (c @ s_1)
            du = a + dz @ slope
            network = MonotoneNetwork(
                low=dgamma.sum()[None],
                gap=dgap * _logistic(self.gap),
                weight=dweight * _logistic(self.weight),
                slope=dslope * _logistic(self.slope),
                bias=dz.sum(axis=0),
            )
            return network, du[:-2]

        return (self.low + rate * risen, rate * g_dot[:-2]), monotone_network_pullback

    def curve(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """gamma and its derivative at ``u``, on the host in float64, as schedules use them.

        See :class:`npdiff.schedules.Learned`.
        """
        u = np.asarray(u, dtype=np.float64)
        host = tree.map(lambda a: to_host(a).astype(np.float64), self)
        with forward_only():
            (gamma, gamma_dot), _ = host(u.reshape(-1))
        return gamma.reshape(u.shape), gamma_dot.reshape(u.shape)


def _logistic(z: Array) -> Array:
    """1 / (1 + exp(-z)), in a form that cannot overflow."""
    return 0.5 + 0.5 * namespace(z).tanh(0.5 * z)


def _inverse_softplus(positive: np.ndarray) -> np.ndarray:
    """The inverse of softplus."""
    return positive + np.log(-np.expm1(-positive))
