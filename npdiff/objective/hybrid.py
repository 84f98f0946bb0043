r"""Learning the variance of the reverse steps with the mean: improved DDPM's hybrid objective.

The network answers with twice as many channels. The first half means what the row says; the second,
v in [-1, 1], places the logarithm of each number's variance between the two that are natural,
:eq:`interpolated-variance` with the fraction (v + 1) / 2.
"""

from dataclasses import dataclass

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Network, timestep
from npdiff.errors import InputError
from npdiff.objective.bound import last_variance
from npdiff.objective.decoder import discretized_gaussian
from npdiff.objective.divergence import gaussian_kl
from npdiff.objective.example import Example, Objective, loss
from npdiff.parameterization import Parameterization
from npdiff.process import posterior_variance, transition
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.schedules import Schedule, Times


@differentiable
def bound_loss(output: Array, *, example: Example, objective: Objective, x_0: Array) -> Traced:
    r"""The bound :eq:`bound` less L_T, estimated from one step for each sample.

    .. math::
        :label: vlb-loss

        L_{\text{vlb}} = \frac{T}{N D} \sum_n L_{t_n - 1}(x_{0,n}),
        \qquad t_n \sim \{1, \dots, T\}

    in nats for each of D numbers: L_{t - 1} is the divergence :eq:`gaussian-kl` of the step from t
    to t - 1, and for t = 1 the decoder's surprise :eq:`discretized-gaussian`. The factor T makes
    the mean over t the sum that the bound is. Pullback: with the cotangents of the step's mean and
    log-variance, which are those of the two ops,

    .. math::
        :label: vlb-pullback

        \overline{\text{output}} = -\frac{\sigma_t}{\Delta_t}
        \frac{\alpha_s \sigma_{t|s}^2}{\sigma_t^2}\, \bar\mu,
        \qquad
        \bar v = \frac12 \log\frac{\sigma^2_{t|s}}{\tilde\sigma^2_{s|t}}\, \overline{\log \Sigma}

    Saves: what the two ops save.

    Parameters
    ----------
    output : (N, ..., 2 C), the network's answer
    example : what it was asked
    objective : which asked; its schedule is a chain
    x_0 : (N, ..., C), the data, bytes as numbers b / 127.5 - 1

    Returns
    -------
    loss : scalar array, nats per number
    pullback : ``dloss -> (doutput,)``

    Raises
    ------
    InputError
        If the schedule is no chain of two steps or more, or the shapes do not fit.

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.1.
    """
    schedule, t = objective.schedule, example.t
    if schedule.steps is None or schedule.steps < 2:
        raise InputError("the steps' variances are learned on a chain of two steps or more")
    xp, (y, v) = namespace(output), _halves(output, x_0)
    first = t == 1.0
    at_first = xp.asarray(first.reshape(-1, *(1,) * (x_0.ndim - 1)))

    x0_hat, _ = objective.parameterization.solve(schedule, example.x_t, y, t)
    log_variance, slope = learned_log_variance(schedule, v, t - 1.0, t)
    # At t = 1 the divergence is not defined and not used: there it is that of the next step.
    s = np.where(first, 1.0, t - 1.0)
    _, forward = transition(schedule, s, s + 1.0)
    share = per_sample(schedule.alpha(s) * forward / schedule.sigma(s + 1.0) ** 2, x_0)
    kl, kl_vjp = gaussian_kl(
        share * x0_hat,
        log_variance,
        true_mean=share * x_0,
        true_log_variance=xp.zeros_like(x_0)
        + per_sample(np.log(posterior_variance(schedule, s, s + 1.0)), x_0),
    )
    log_p, decoder_vjp = discretized_gaussian(x0_hat, log_variance, x=x_0)
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
        dmean, dkl_variance = kl_vjp(xp.where(at_first, 0.0, dterm))
        dx0_hat, ddecoder_variance = decoder_vjp(xp.where(at_first, -dterm, 0.0))
        dy = by_output * (share * dmean + dx0_hat)
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
    share: float = 1e-3,
) -> Traced:
    r"""The simple loss for the mean and a little of the bound for the variance.

    .. math::
        :label: hybrid-loss

        L_{\text{hybrid}} = L_{\text{simple}} + \lambda L_{\text{vlb}}

    In the second term the mean is held fast: its gradient is dropped, so that the bound teaches the
    variance alone. L_vlb is the *sum* over the chain, :eq:`vlb-loss`, in nats per number. The
    paper's program counts it in bits, which is a share larger by 1 / log 2; programs that add
    lambda times a single term teach the variance T times less.

    Parameters
    ----------
    output : (N, ..., 2 C), the network's answer
    example, objective, x_0 : as for :func:`bound_loss`; the first term is weighted as the objective
        says
    share : lambda

    Returns
    -------
    loss : scalar array
    pullback : ``dloss -> (doutput,)``

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.1.
    """
    xp, (y, _) = namespace(output), _halves(output, x_0)
    simple, simple_vjp = loss(y, example=example)
    bound, bound_vjp = bound_loss(output, example=example, objective=objective, x_0=x_0)
    C = y.shape[-1]

    def hybrid_loss_pullback(dloss: Array) -> Cotangents:
        (dy,), (dbound,) = simple_vjp(dloss), bound_vjp(share * dloss)
        return (xp.concatenate([dy, dbound[..., C:]], axis=-1),)

    return simple + share * bound, hybrid_loss_pullback


def learned_log_variance(
    schedule: Schedule, v: Array, s: Times, t: Times
) -> tuple[Array, Array | float]:
    """The logarithm of :eq:`interpolated-variance` for v in [-1, 1], and its derivative by v.

    On the last step, to s = 0, :func:`~npdiff.objective.bound.last_variance` takes the place of the
    posterior's, which is 0 there.
    """
    s, t = schedule.time(s), schedule.time(t)
    before = np.where(s > 0.0, s, 0.5 * t)  # any time below t will do where it is not used
    small = np.where(s > 0.0, posterior_variance(schedule, before, t), last_variance(schedule, t))
    low, high = np.log(small), np.log(transition(schedule, s, t)[1])
    slope = per_sample(0.5 * (high - low), v)
    return per_sample(0.5 * (high + low), v) + slope * v, slope


@dataclass(frozen=True)
class LearnedVariance:
    """A network trained by :func:`hybrid_loss`, as the bound sees it: estimates and variances.

    The last step, to the data, has a variance too, :func:`learned_log_variance`; samplers, which
    add no noise there, have :func:`npdiff.samplers.learned.with_variance`.

    Parameters
    ----------
    network : from (x, clock) to an output with twice the channels of x
    schedule : Schedule
    parameterization : what the first half means
    """

    network: Network
    schedule: Schedule
    parameterization: Parameterization

    def __call__(self, x: Array, t: Times) -> tuple[Array, Array]:
        """The estimates of data and noise at (x, t)."""
        y, _ = self._asked(x, t)
        return self.parameterization.solve(self.schedule, x, y, t)

    def variance(self, x: Array, s: Times, t: Times) -> Array:
        """The variance of the step from t to s, an array of the shape of ``x``."""
        _, v = self._asked(x, t)
        log_variance, _ = learned_log_variance(self.schedule, v, s, t)
        return namespace(x).exp(log_variance)

    def _asked(self, x: Array, t: Times) -> tuple[Array, Array]:
        network_input = self.parameterization.network_input(self.schedule, x, t)
        return _halves(self.network(network_input, timestep(self.schedule, x, t)), x)


def _halves(output: Array, x: Array) -> tuple[Array, Array]:
    C = x.shape[-1]
    if output.shape != (*x.shape[:-1], 2 * C):
        raise InputError(
            f"an output of shape {tuple(output.shape)} for data of shape {tuple(x.shape)}: where "
            "variances are learned it has twice the channels"
        )
    return output[..., :C], output[..., C:]
