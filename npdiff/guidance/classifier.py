r"""Classifier guidance: the gradient of a classifier, which knows the noise, added to the score.

By Bayes' rule :math:`\nabla \log p(k \mid x_t) + \nabla \log q(x_t) = \nabla \log q(x_t \mid k)`,
so that at w = 1 a perfect classifier makes a model without labels a conditional one.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.process import posterior_mean
from npdiff.schedules import Schedule, Times
from npdiff.variances import Rule, variance_rule

#: From (x, t) to the gradient of log p(k | x_t = x) with respect to x, of the shape of x.
LogProbGradient = Callable[[Array, Times], Array]


def classifier_guidance(
    denoise: Denoise, schedule: Schedule, log_prob_gradient: LogProbGradient, w: float | np.ndarray
) -> Denoise:
    r"""Classifier guidance in the form of scores, for every sampler.

    .. math::
        :label: classifier-guidance

        \hat\epsilon \leftarrow \hat\epsilon - w\, \sigma_t \nabla_{x_t} \log p(k \mid x_t),
        \qquad
        \hat x_0 \leftarrow \hat x_0
        + w\, \frac{\sigma_t^2}{\alpha_t} \nabla_{x_t} \log p(k \mid x_t)

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); of all data or, then more strongly, of class k
    schedule : Schedule
    log_prob_gradient : from (x, t) to the gradient of log p(k | x_t = x); for times with signal
    w : scale, a scalar or one number a sample: beside a denoiser of all data 1 is the class k as it
        is, above 1 strengthens it

    Raises
    ------
    InputError
        At a time without any signal, alpha_t = 0, where no x_t says anything of the class:
        :func:`~npdiff.guidance.interval.guidance_interval` to a finite noise level leaves it out.

    Notes
    -----
    Dhariwal and Nichol 2021, Algorithm 2.
    """

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        if not np.all(alpha > 0.0):
            raise InputError(f"a classifier guides where there is signal, and there is none at {t}")
        x_0, eps = denoise(x, t)
        pull = log_prob_gradient(x, t)
        x_0 = x_0 + per_sample(w * sigma**2 / alpha, x) * pull
        return x_0, eps - per_sample(w * sigma, x) * pull

    return guided


def classifier_mean_shift(
    denoise: Denoise,
    schedule: Schedule,
    log_prob_gradient: LogProbGradient,
    w: float | np.ndarray,
    timesteps: np.ndarray,
    *,
    variance: str | Rule = "small",
    at_mean: bool = True,
) -> Denoise:
    r"""Classifier guidance of ancestral sampling, whose every mean it shifts.

    .. math::
        :label: classifier-mean-shift

        \mu \leftarrow \mu + w\, \Sigma\, \nabla_{x_s} \log p(k \mid x_s) \big|_{x_s = \mu}

    is the mean of :math:`\mathcal N(x_s; \mu, \Sigma)\, p(k \mid x_s)^w` to first order, where the
    logarithm of the classifier is expanded around :math:`\mu`. The estimate of the data is moved so
    that the sampler ``ddpm`` on the grid ``timesteps`` steps to this mean.

    *The two forms differ*: :eq:`classifier-guidance` shifts the mean of the same step by
    :math:`w\, (\sigma^2_{t|s} / \alpha_{t|s})\, \nabla_{x_t} \log p(k \mid x_t)`. Beside it, the
    small variance is less by the factor :math:`\alpha_{t|s}\, \sigma_s^2 / \sigma_t^2`, which is 0
    in the last step; the large one by :math:`\alpha_{t|s}` alone. As the steps of a grid shrink the
    factors tend to 1, the last step excepted.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    log_prob_gradient : from (x, t) to the gradient of log p(k | x_t = x); asked at t = 0 too if
        the variance of the last step is not 0
    w : scale, a scalar or one number a sample
    timesteps : the grid of the sampler
    variance : of the sampler's noise: ``"small"``, ``"large"``, or a function of (schedule, s, t)
    at_mean : evaluate the gradient at the mean and time s, as derived; otherwise at (x_t, t), as
        in the program of the paper's authors

    Raises
    ------
    InputError
        If the variance's name is unknown. Later, at a time where no step of the grid begins.

    Notes
    -----
    Dhariwal and Nichol 2021, Algorithm 1 and the derivation before it.
    """
    rule = variance_rule(variance) if isinstance(variance, str) else variance
    following = {float(t): float(s) for t, s in pairwise(timesteps)}

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        if np.ndim(t) != 0 or float(t) not in following:
            raise InputError(
                f"guidance that shifts means belongs to ancestral sampling on its own grid, where "
                f"no step begins at {t}: use classifier_guided with other samplers"
            )
        s = following[float(t)]
        x_0, _ = denoise(x, t)
        step = rule(schedule, s, t)
        if step > 0.0:
            place = (posterior_mean(schedule, x_0, x, s, t), s) if at_mean else (x, t)
            unit = posterior_mean(schedule, np.ones(1), np.zeros(1), s, t)[0]  # what x_0 moves it
            x_0 = x_0 + per_sample(w * step / unit, x) * log_prob_gradient(*place)
        return PARAMETERIZATIONS["x0"].solve(schedule, x, x_0, t)

    return guided


def label_gradient(
    classifier: Callable[[Array, Times], Any], labels: np.ndarray
) -> LogProbGradient:
    r"""The gradient of a network's log-probability of labels with respect to its input.

    .. math::
        :label: label-gradient

        \nabla_x \log p(k \mid x)
        = \left(\frac{\partial\, \text{logits}}{\partial x}\right)^{\!\top}
        \big(\mathbf e_k - \operatorname{softmax}(\text{logits})\big)

    Parameters
    ----------
    classifier : from (x, t) to logits (N, K) and their pullback, whose last cotangent is that of x
    labels : (N,) integers k on the host
    """

    def gradient(x: Array, t: Times) -> Array:
        xp = namespace(x)
        logits, pullback = classifier(x, t)
        odds = xp.exp(logits - logits.max(axis=-1, keepdims=True))
        of_label = np.asarray(labels)[:, None] == np.arange(logits.shape[-1])
        dlogits = xp.asarray(of_label, dtype=logits.dtype) - odds / odds.sum(axis=-1, keepdims=True)
        return pullback(dlogits)[-1]

    return gradient
