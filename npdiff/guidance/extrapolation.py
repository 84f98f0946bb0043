r"""Classifier-free guidance and autoguidance: away from one denoiser, through another.

Where both answers are the scores of densities p and q, the guided one is the score of

.. math::
    :label: guided-density

    p_t(x)^{w}\; q_t(x)^{1 - w}

up to its constant, at every time by itself. In general these densities are not joined by the
forward process, as those of a diffused distribution are; so what the samples follow is not this
density at t = 0, and depends on the sampler.
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
    Ho and Salimans 2022. *The other convention*: their w is this one less 1,
    :func:`from_paper_scale`. The form above is that of GLIDE, Imagen and Stable Diffusion.
    """
    return _through(uncond, cond, w)


def from_paper_scale(w: float | np.ndarray) -> float | np.ndarray:
    r"""The w of this package for the w of the paper on classifier-free guidance.

    .. math::
        :label: paper-guidance-scale

        (1 + w_{\text{paper}})\, \hat\epsilon_{\text{cond}}
        - w_{\text{paper}}\, \hat\epsilon_{\text{uncond}}
        = \hat\epsilon_{\text{uncond}}
        + w\, (\hat\epsilon_{\text{cond}} - \hat\epsilon_{\text{uncond}}),
        \qquad w = 1 + w_{\text{paper}}

    In the paper 0 is no guidance and -1 ignores the condition; here these are 1 and 0. This is the
    only place where the two meet.

    Notes
    -----
    Ho and Salimans 2022, Eq. 6.
    """
    return 1.0 + w


def autoguidance(model: Denoise, worse: Denoise, w: float | np.ndarray) -> Denoise:
    r"""Autoguidance: a model led away from a worse version of itself.

    .. math::
        :label: autoguidance

        \hat\epsilon = \hat\epsilon_{\text{worse}}
        + w\, (\hat\epsilon_{\text{model}} - \hat\epsilon_{\text{worse}})

    Both know the same condition. The worse one, smaller or less trained, spreads its density more
    widely; w > 1 takes away what is likely by its errors, and leaves the condition alone.

    Parameters
    ----------
    model, worse : the denoisers
    w : scale, a scalar or one number a sample: 1 is the model itself

    Notes
    -----
    Karras et al. 2024, section 3.
    """
    return _through(worse, model, w)


def _through(start: Denoise, goal: Denoise, w: float | np.ndarray) -> Denoise:
    """From ``start`` (w = 0) through ``goal`` (w = 1) and beyond."""
    if np.ndim(w) == 0 and float(w) in (0.0, 1.0):
        return goal if float(w) == 1.0 else start

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        scale = per_sample(w, x)
        (x_0, eps), (x_0_goal, eps_goal) = start(x, t), goal(x, t)
        return x_0 + scale * (x_0_goal - x_0), eps + scale * (eps_goal - eps)

    return guided
