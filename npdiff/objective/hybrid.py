r"""Learned reverse variances: improved DDPM's hybrid objective.

The network's output has twice as many channels as the data. The first half is the prediction; the
second, v in [-1, 1], interpolates the log-variance of each element between the small and the large
variance, :eq:`interpolated-variance` with the fraction (v + 1) / 2.
"""

from dataclasses import dataclass

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Network, timestep
from npdiff.errors import InputError
from npdiff.objective.bound import last_step_variance
from npdiff.objective.decoder import discretized_gaussian
from npdiff.objective.divergence import gaussian_kl
from npdiff.objective.example import Example, Objective, loss
from npdiff.parameterization import Parameterization
from npdiff.process import posterior_variance, transition
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.schedules import Schedule, Times


@differentiable
def bound_loss(output: Array, *, example: Example, objective: Objective, x_0: Array) -> Traced:
    r"""The bound :eq:`bound` without L_T, estimated from one step per sample.

    .. math::
        :label: vlb-loss

        L_{\text{vlb}} = \frac{T}{N D} \sum_n L_{t_n - 1}(x_{0,n}),
        \qquad t_n \sim \{1, \dots, T\}

    in nats per dimension, for data with D dimensions. L_{t - 1} is the divergence
    :eq:`gaussian-kl` of the step from t to t - 1; for t = 1 it is the decoder term
    :eq:`discretized-gaussian`. The factor T turns the mean over t into the sum over steps.
    Pullback: with the cotangents of the step's mean and log-variance, from the pullbacks of these
    two ops,

    .. math::
        :label: vlb-pullback

        \overline{\text{output}} = -\frac{\sigma_t}{\Delta_t}
        \frac{\alpha_s \sigma_{t|s}^2}{\sigma_t^2}\, \bar\mu,
        \qquad
        \bar v = \frac12 \log\frac{\sigma^2_{t|s}}{\tilde\sigma^2_{s|t}}\, \overline{\log \Sigma}

    Saves: the saved arrays of the two ops.

    Parameters
    ----------
    output : (N, ..., 2 C), the network's output
    example : the batch that the output belongs to
    objective : the objective that made the example; its schedule is discrete
    x_0 : (N, ..., C), the data, bytes b scaled to b / 127.5 - 1

    Returns
    -------
    loss : scalar array, nats per dimension
    pullback : ``dloss -> (doutput,)``

    Raises
    ------
    InputError
        If the schedule is not discrete with at least two steps, or the shapes do not fit.

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.1.
    """
    schedule, t = objective.schedule, example.t
    if schedule.steps is None or schedule.steps < 2:
        raise InputError(
            "learned variances need a discrete schedule of at least 2 steps, got "
            + (f"{schedule.steps}" if schedule.steps else "a continuous schedule")
        )
    xp, (y, v) = namespace(output), _split_channels(output, x_0)
    first = t == 1.0
    at_first = xp.asarray(first.reshape(-1, *(1,) * (x_0.ndim - 1)))

    x0_hat, _ = objective.parameterization.solve(schedule, example.x_t, y, t)
    log_variance, slope = learned_log_variance(schedule, v, t - 1.0, t)
    # The divergence is undefined and unused at t = 1: compute that of the step from 2 to 1 instead.
    s = np.where(first, 1.0, t - 1.0)
    _, forward = transition(schedule, s, s + 1.0)
    coefficient = per_sample(schedule.alpha(s) * forward / schedule.sigma(s + 1.0) ** 2, x_0)
    kl, kl_pullback = gaussian_kl(
        coefficient * x0_hat,
        log_variance,
        true_mean=coefficient * x_0,
        true_log_variance=xp.zeros_like(x_0)
        + per_sample(np.log(posterior_variance(schedule, s, s + 1.0)), x_0),
    )
    log_p, decoder_pullback = discretized_gaussian(x0_hat, log_variance, x=x_0)
    term = xp.where(at_first, -log_p, kl)
    each = np.full(t.shape, schedule.steps / x_0.size)
    if objective.time_sampler.importance:
        each = each / objective.time_sampler.density(schedule, t)
    factor = per_sample(each, x_0)
    by_output = per_sample(
        -schedule.sigma(t) / objective.parameterization.determinant(schedule, t), x_0
    )

    def bound_loss_pullback(dloss: Array) -> Cotangents:
        dterm = factor * dloss
        dmean, dkl_variance = kl_pullback(xp.where(at_first, 0.0, dterm))
        dx0_hat, ddecoder_variance = decoder_pullback(xp.where(at_first, -dterm, 0.0))
        dy = by_output * (coefficient * dmean + dx0_hat)
        dv = slope * (dkl_variance + ddecoder_variance)
        return (xp.concatenate([dy, dv], axis=-1),)

    return (factor * term).sum(), bound_loss_pullback


@differentiable
def hybrid_loss(
    output: Array,
    *,
    example: Example,
    objective: Objective,
    x_0: Array,
    vlb_weight: float = 1e-3,
) -> Traced:
    r"""The hybrid loss: the simple loss trains the mean, the bound trains the variance.

    .. math::
        :label: hybrid-loss

        L_{\text{hybrid}} = L_{\text{simple}} + \lambda L_{\text{vlb}}

    The gradient of the second term with respect to the mean is dropped, so that the bound trains
    the variance alone. L_vlb is the *sum* over all steps, :eq:`vlb-loss`, in nats per dimension.
    The paper's program measures it in bits, which makes lambda effectively larger by 1 / log 2.
    Programs that add lambda times a single term train the variance with a weight T times smaller.

    Parameters
    ----------
    output : (N, ..., 2 C), the network's output
    example, objective, x_0 : as for :func:`bound_loss`; the weighting of the objective applies to
        the first term
    vlb_weight : lambda

    Returns
    -------
    loss : scalar array
    pullback : ``dloss -> (doutput,)``

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.1.
    """
    xp, (y, _) = namespace(output), _split_channels(output, x_0)
    simple, simple_pullback = loss(y, example=example)
    bound, bound_pullback = bound_loss(output, example=example, objective=objective, x_0=x_0)
    C = y.shape[-1]

    def hybrid_loss_pullback(dloss: Array) -> Cotangents:
        (dy,), (dbound,) = simple_pullback(dloss), bound_pullback(vlb_weight * dloss)
        return (xp.concatenate([dy, dbound[..., C:]], axis=-1),)

    return simple + vlb_weight * bound, hybrid_loss_pullback


def learned_log_variance(
    schedule: Schedule, v: Array, s: Times, t: Times
) -> tuple[Array, Array | float]:
    """The logarithm of :eq:`interpolated-variance` for v in [-1, 1], and its derivative in v.

    On the last step, to s = 0, the posterior variance is 0 and
    :func:`~npdiff.objective.bound.last_step_variance` replaces it.
    """
    s, t = schedule.time(s), schedule.time(t)
    before = np.where(s > 0.0, s, 0.5 * t)  # any time below t: unused where s = 0
    small = np.where(
        s > 0.0, posterior_variance(schedule, before, t), last_step_variance(schedule, t)
    )
    low, high = np.log(small), np.log(transition(schedule, s, t)[1])
    slope = per_sample(0.5 * (high - low), v)
    return per_sample(0.5 * (high + low), v) + slope * v, slope


@dataclass(frozen=True)
class LearnedVariance:
    """A denoiser with reverse variances from a network trained by :func:`hybrid_loss`.

    It is for evaluating the bound, where the last step, to the data, has a variance as well. For
    samplers, which add no noise there, use :func:`npdiff.samplers.learned.with_variance`.

    Parameters
    ----------
    network : from (x, timestep) to an output with twice the channels of x
    schedule : Schedule
    parameterization : the meaning of the first half of the output
    """

    network: Network
    schedule: Schedule
    parameterization: Parameterization

    def __call__(self, x: Array, t: Times) -> tuple[Array, Array]:
        """The estimates of data and noise at (x, t)."""
        y, _ = self._predict(x, t)
        return self.parameterization.solve(self.schedule, x, y, t)

    def variance(self, x: Array, s: Times, t: Times) -> Array:
        """The variance of the step from t to s, an array of the shape of ``x``."""
        _, v = self._predict(x, t)
        log_variance, _ = learned_log_variance(self.schedule, v, s, t)
        return namespace(x).exp(log_variance)

    def _predict(self, x: Array, t: Times) -> tuple[Array, Array]:
        network_input = self.parameterization.network_input(self.schedule, x, t)
        return _split_channels(self.network(network_input, timestep(self.schedule, x, t)), x)


def _split_channels(output: Array, x: Array) -> tuple[Array, Array]:
    C = x.shape[-1]
    if output.shape != (*x.shape[:-1], 2 * C):
        raise InputError(
            f"with learned variances the output has twice the channels of the data: expected "
            f"{(*x.shape[:-1], 2 * C)}, got {tuple(output.shape)}"
        )
    return output[..., :C], output[..., C:]
