"""Networks that predict the reverse variance as well."""

from npdiff.backend import Array
from npdiff.denoiser import Denoise, Denoiser, Network
from npdiff.errors import InputError
from npdiff.parameterization import Parameterization
from npdiff.schedules import Schedule, Times
from npdiff.variances import Variance, interpolated


def with_variance(
    network: Network, schedule: Schedule, parameterization: Parameterization
) -> tuple[Denoise, Variance]:
    """The denoiser and the variance of a network with learned variance, for ``ddpm``.

    The network's output has twice the channels of its input, on the last axis: first the
    prediction, then 2 v - 1 with the v of :eq:`interpolated-variance`. The variance is evaluated at
    the state that was denoised last, whose output is kept, so the network runs once per step. The
    last step, to the data, adds no noise: the small variance is 0 there.

    Parameters
    ----------
    network : maps (x, timestep) to an output of the shape of x with twice the channels
    schedule : Schedule
    parameterization : what the first half of the output means

    Returns
    -------
    denoise, variance
        ``ddpm(denoise, schedule, x, timesteps, variance=variance, noise=noise)``

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.1.
    """
    kept: list[Array] = []  # the second half of the last output

    def first_half(x: Array, timestep: Array) -> Array:
        output = network(x, timestep)
        channels = x.shape[-1]
        if output.shape != (*x.shape[:-1], 2 * channels):
            raise InputError(
                f"a network with learned variance has twice the channels of its input: expected "
                f"an output of shape {(*x.shape[:-1], 2 * channels)}, got {tuple(output.shape)}"
            )
        kept[:] = [output[..., channels:]]
        return output[..., :channels]

    denoiser = Denoiser(first_half, schedule, parameterization)
    denoised: list[object] = [None]  # the state of that output

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        denoised[:] = [x]
        return denoiser(x, t)

    def variance(x: Array, s: float, t: float) -> Array | float:
        if schedule.sigma(s) == 0.0:
            return 0.0
        if denoised[0] is not x:
            denoise(x, t)
        return interpolated(schedule, s, t, 0.5 * (kept[0] + 1.0))

    return denoise, variance
