r"""Classifier guidance: the gradient of a noise-aware classifier, added to the score.

By Bayes' rule :math:`\nabla \log p(k \mid x_t) + \nabla \log q(x_t) = \nabla \log q(x_t \mid k)`,
so at w = 1 an exact classifier turns an unconditional model into a conditional one.
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
from npdiff.variances import VARIANCES, VarianceRule

#: Maps (x, t) to the gradient of log p(k | x_t = x) with respect to x, of the shape of x.
LogProbGradient = Callable[[Array, Times], Array]


def classifier_guidance(
    denoise: Denoise, schedule: Schedule, log_prob_gradient: LogProbGradient, w: float | np.ndarray
) -> Denoise:
    r"""Classifier guidance of the score, for every sampler.

    .. math::
        :label: classifier-guidance

        \hat\epsilon \leftarrow \hat\epsilon - w\, \sigma_t \nabla_{x_t} \log p(k \mid x_t),
        \qquad
        \hat x_0 \leftarrow \hat x_0
        + w\, \frac{\sigma_t^2}{\alpha_t} \nabla_{x_t} \log p(k \mid x_t)

    Parameters
    ----------
    denoise : of all data, or of class k for a stronger effect
    schedule : Schedule
    log_prob_gradient : maps (x, t) to the gradient of log p(k | x_t = x); for times with signal
    w : scale, a scalar or one per sample: with a denoiser of all data, 1 gives the distribution of
        class k and values above 1 strengthen it

    Raises
    ------
    InputError
        At a time with alpha_t = 0, where x_t holds no information about the class. Exclude it with
        :func:`~npdiff.guidance.interval.guidance_interval` up to a finite noise level.

    Notes
    -----
    Dhariwal and Nichol 2021, Algorithm 2.
    """

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        if not np.all(alpha > 0.0):
            raise InputError(
                f"classifier guidance needs signal, and alpha = 0 at t = {t}: start at an earlier "
                "time, or limit guidance to finite noise levels with guidance_interval"
            )
        x0_hat, eps_hat = denoise(x, t)
        gradient = log_prob_gradient(x, t)
        x0_hat = x0_hat + per_sample(w * sigma**2 / alpha, x) * gradient
        return x0_hat, eps_hat - per_sample(w * sigma, x) * gradient

    return guided


def classifier_mean_shift(
    denoise: Denoise,
    schedule: Schedule,
    log_prob_gradient: LogProbGradient,
    w: float | np.ndarray,
    timesteps: np.ndarray,
    *,
    variance: str | VarianceRule = "small",
    at_mean: bool = True,
) -> Denoise:
    r"""Classifier guidance of ancestral sampling, by a shift of every step's mean.

    .. math::
        :label: classifier-mean-shift

        \mu \leftarrow \mu + w\, \Sigma\, \nabla_{x_s} \log p(k \mid x_s) \big|_{x_s = \mu}

    is, to first order in the classifier's logarithm at :math:`\mu`, the mean of
    :math:`\mathcal N(x_s; \mu, \Sigma)\, p(k \mid x_s)^w`. x0_hat is shifted so that the sampler
    ``ddpm`` with these ``timesteps`` steps to this mean.

    *The two variants differ*: :eq:`classifier-guidance` shifts the mean of the same step by
    :math:`w\, (\sigma^2_{t|s} / \alpha_{t|s})\, \nabla_{x_t} \log p(k \mid x_t)`. Compared with
    that, the small variance has an additional factor :math:`\alpha_{t|s}\, \sigma_s^2 /
    \sigma_t^2`, which is 0 in the last step; the large one only :math:`\alpha_{t|s}`. As the steps
    shrink the factors tend to 1, except in the last step.

    Parameters
    ----------
    denoise : the denoiser to guide
    schedule : Schedule
    log_prob_gradient : maps (x, t) to the gradient of log p(k | x_t = x); evaluated at t = 0 too if
        the variance of the last step is not 0
    w : scale, a scalar or one per sample
    timesteps : the sampler's
    variance : the sampler's: ``"small"``, ``"large"``, or a function of (schedule, s, t)
    at_mean : evaluate the gradient at the mean and time s, as derived; otherwise at (x_t, t), as
        in the authors' program

    Raises
    ------
    InputError
        If the variance's name is unknown. Later, at a time that is not one of the timesteps.

    Notes
    -----
    Dhariwal and Nichol 2021, Algorithm 1 and the derivation before it.
    """
    rule = VARIANCES[variance] if isinstance(variance, str) else variance
    next_time = {float(t): float(s) for t, s in pairwise(timesteps)}

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        if np.ndim(t) != 0 or float(t) not in next_time:
            raise InputError(
                f"classifier_mean_shift is for ddpm with the same timesteps, and no step starts at "
                f"t = {t}: use classifier_guidance with other samplers"
            )
        s = next_time[float(t)]
        x0_hat, _ = denoise(x, t)
        step_variance = rule(schedule, s, t)
        if step_variance > 0.0:
            point = (posterior_mean(schedule, x0_hat, x, s, t), s) if at_mean else (x, t)
            weight_x_0 = posterior_mean(schedule, np.ones(1), np.zeros(1), s, t)[0]
            shift = w * step_variance / weight_x_0  # of x0_hat, which shifts the mean by w Σ
            x0_hat = x0_hat + per_sample(shift, x) * log_prob_gradient(*point)
        return PARAMETERIZATIONS["x0"].solve(schedule, x, x0_hat, t)

    return guided


def label_gradient(
    classifier: Callable[[Array, Times], Any], labels: np.ndarray
) -> LogProbGradient:
    r"""The gradient of a classifier network's log-probability of labels with respect to its input.

    .. math::
        :label: label-gradient

        \nabla_x \log p(k \mid x)
        = \left(\frac{\partial\, \text{logits}}{\partial x}\right)^{\!\top}
        \big(\mathbf e_k - \operatorname{softmax}(\text{logits})\big)

    Parameters
    ----------
    classifier : maps (x, t) to logits (N, K) and their pullback, whose last cotangent is that of x
    labels : (N,) integers k, on the host
    """

    def gradient(x: Array, t: Times) -> Array:
        xp = namespace(x)
        logits, pullback = classifier(x, t)
        odds = xp.exp(logits - logits.max(axis=-1, keepdims=True))
        of_label = np.asarray(labels)[:, None] == np.arange(logits.shape[-1])
        dlogits = xp.asarray(of_label, dtype=logits.dtype) - odds / odds.sum(axis=-1, keepdims=True)
        return pullback(dlogits)[-1]

    return gradient
