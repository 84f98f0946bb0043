r"""Guidance: from denoisers to a denoiser that leans towards a condition.

At a fixed (x_t, t) eps is an affine function of x_0, so guiding either of a denoiser's two
estimates guides the other alike.
"""

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.schedules import Times


def classifier_free(cond: Denoise, uncond: Denoise, w: float | np.ndarray) -> Denoise:
    r"""Classifier-free guidance.

    .. math::
        :label: classifier-free-guidance

        \hat\epsilon = \hat\epsilon_{\text{uncond}}
        + w\, (\hat\epsilon_{\text{cond}} - \hat\epsilon_{\text{uncond}})

    Parameters
    ----------
    cond, uncond : the denoiser with the condition and without
    w : scale, a scalar or one number a sample: 0 ignores the condition, 1 is no guidance, above 1
        strengthens it

    Returns
    -------
    Denoise
        With a scalar w of 0 or 1 only the one denoiser that counts is asked.

    Notes
    -----
    Ho and Salimans 2021. *The other convention*: their Eq. 6 reads
    :math:`(1 + w)\, \epsilon_{\text{cond}} - w\, \epsilon_{\text{uncond}}`, so that their w is this
    one less 1. The form above is that of GLIDE, Imagen and Stable Diffusion.
    """
    if np.ndim(w) == 0 and float(w) in (0.0, 1.0):
        return cond if float(w) == 1.0 else uncond

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        scale = per_sample(w, x)
        (x_0, eps), (x_0_cond, eps_cond) = uncond(x, t), cond(x, t)
        return x_0 + scale * (x_0_cond - x_0), eps + scale * (eps_cond - eps)

    return guided
