"""Networks that answer twice: what their row says, and the variance of the step."""

from npdiff.backend import Array
from npdiff.denoiser import Denoise, Denoiser, Network
from npdiff.errors import InputError
from npdiff.parameterization import Parameterization
from npdiff.schedules import Schedule, Times
from npdiff.variances import Variance, interpolated


def with_variance(
    network: Network, schedule: Schedule, parameterization: Parameterization
) -> tuple[Denoise, Variance]:
    """A network with a learned variance, for :func:`~npdiff.samplers.ddpm`.

    The network's output has twice the channels of its input, on the last axis: first what the row
    says, then 2 v - 1 with the v of :eq:`interpolated-variance`. A sampler asks for the variance of
    the state that it has just had denoised; the answer to that is kept, so that the network runs
    once a step. The last step, to the data, adds no noise: the range of variances is without a
    lower end there.

    Parameters
    ----------
    network : from (x, clock) to an output of the shape of x, but for twice the channels
    schedule : Schedule
    parameterization : what the first half means

    Returns
    -------
    denoise, variance
        ``ddpm(denoise, schedule, x, timesteps, variance=variance, noise=noise)``

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.1.
    """
    kept: list[Array] = []

    def first_half(x: Array, timestep: Array) -> Array:
        output = network(x, timestep)
        channels = x.shape[-1]
        if output.shape != (*x.shape[:-1], 2 * channels):
            raise InputError(
                f"the network answered with shape {tuple(output.shape)} to an input of shape "
                f"{tuple(x.shape)}: with a variance it has twice the channels"
            )
        kept[:] = [output[..., channels:]]
        return output[..., :channels]

    denoiser = Denoiser(first_half, schedule, parameterization)
    state: list[object] = [None]

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        state[:] = [x]
        return denoiser(x, t)

    def variance(x: Array, s: float, t: float) -> Array | float:
        if schedule.sigma(s) == 0.0:
            return 0.0
        if state[0] is not x:
            denoise(x, t)
        return interpolated(schedule, s, t, 0.5 * (kept[0] + 1.0))

    return denoise, variance
