"""Classifier-free guidance in one evaluation of a batch of twice the size."""

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import Denoise
from npdiff.guidance.contrast import rescale_cfg
from npdiff.guidance.extrapolation import classifier_free
from npdiff.schedules import Schedule, Times


def batched_cfg(both: Denoise, schedule: Schedule, w: float, rescale: float = 0.0) -> Denoise:
    """Classifier-free guidance from one evaluation of 2N samples instead of two of N.

    Parameters
    ----------
    both : a denoiser of 2N samples, conditional for the first N and unconditional for the last N
    schedule : Schedule
    w : scale, as for :func:`~npdiff.guidance.extrapolation.classifier_free`
    rescale : phi, as for :func:`~npdiff.guidance.contrast.rescale_cfg`

    Returns
    -------
    Denoise
        For N samples.
    """

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        n = x.shape[0]
        t_both = t if np.ndim(t) == 0 else np.concatenate([t, t])
        x0_hat, eps_hat = both(namespace(x).concatenate([x, x]), t_both)

        def cond(x: Array, t: Times) -> tuple[Array, Array]:
            return x0_hat[:n], eps_hat[:n]

        denoise = classifier_free(cond, lambda x, t: (x0_hat[n:], eps_hat[n:]), w)
        if rescale > 0.0:
            denoise = rescale_cfg(denoise, cond, schedule, rescale)
        return denoise(x, t)

    return guided
