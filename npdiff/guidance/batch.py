"""Guidance from one evaluation of a double batch."""

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import Denoise
from npdiff.guidance.contrast import rescale_cfg
from npdiff.guidance.extrapolation import classifier_free
from npdiff.schedules import Schedule, Times


def batched_cfg(both: Denoise, schedule: Schedule, w: float, rescale: float = 0.0) -> Denoise:
    """Classifier-free guidance from one denoiser of 2N rows: half the calls, twice the batch.

    Parameters
    ----------
    both : a denoiser whose first N rows know the condition and whose last N do not
    schedule : Schedule
    w : scale, as of :func:`~npdiff.guidance.extrapolation.classifier_free`
    rescale : phi, as of :func:`~npdiff.guidance.contrast.rescale_cfg`

    Returns
    -------
    Denoise
        Of N rows.
    """

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        n = x.shape[0]
        t_both = t if np.ndim(t) == 0 else np.concatenate([t, t])
        x_0, eps = both(namespace(x).concatenate([x, x]), t_both)

        def cond(x: Array, t: Times) -> tuple[Array, Array]:
            return x_0[:n], eps[:n]

        denoise = classifier_free(cond, lambda x, t: (x_0[n:], eps[n:]), w)
        if rescale > 0.0:
            denoise = rescale_cfg(denoise, cond, schedule, rescale)
        return denoise(x, t)

    return guided
