r"""Classifier-free guidance and autoguidance: extrapolation from one denoiser through another.

If the two estimates are the scores of densities p and q, the guided one is the score of

.. math::
    :label: guided-density

    p_t(x)^{w}\; q_t(x)^{1 - w}

up to normalization, at each time separately. In general the forward process does not connect these
densities, as it does those of a diffused distribution; so the distribution of the samples is not
this density at t = 0, and depends on the sampler.
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
    cond, uncond : the denoisers with and without the condition
    w : scale, a scalar or one per sample: 0 ignores the condition, 1 is the conditional estimate,
        above 1 strengthens the condition

    Returns
    -------
    Denoise
        With a scalar w of 0 or 1 only the denoiser with nonzero weight is evaluated.

    Notes
    -----
    Ho and Salimans 2022. *The other convention*: their w is this w minus 1,
    :func:`from_paper_scale`. The equation above is that of GLIDE, Imagen and Stable Diffusion.
    """
    return _extrapolate(uncond, cond, w)


def from_paper_scale(w: float | np.ndarray) -> float | np.ndarray:
    r"""The scale w of this package from the w of the paper on classifier-free guidance.

    .. math::
        :label: paper-guidance-scale

        (1 + w_{\text{paper}})\, \hat\epsilon_{\text{cond}}
        - w_{\text{paper}}\, \hat\epsilon_{\text{uncond}}
        = \hat\epsilon_{\text{uncond}}
        + w\, (\hat\epsilon_{\text{cond}} - \hat\epsilon_{\text{uncond}}),
        \qquad w = 1 + w_{\text{paper}}

    In the paper w = 0 is the conditional estimate and w = -1 the unconditional one; here these are
    1 and 0. No other function uses the paper's convention.

    Notes
    -----
    Ho and Salimans 2022, Eq. 6.
    """
    return 1.0 + w


def autoguidance(model: Denoise, worse: Denoise, w: float | np.ndarray) -> Denoise:
    r"""Autoguidance: extrapolation away from a worse version of the model.

    .. math::
        :label: autoguidance

        \hat\epsilon = \hat\epsilon_{\text{worse}}
        + w\, (\hat\epsilon_{\text{model}} - \hat\epsilon_{\text{worse}})

    Both have the same condition. The worse model, smaller or less trained, has a wider density;
    w > 1 suppresses samples that only its errors make likely, without strengthening the condition.

    Parameters
    ----------
    model, worse : the denoisers
    w : scale, a scalar or one per sample: 1 is the model itself

    Notes
    -----
    Karras et al. 2024, section 3.
    """
    return _extrapolate(worse, model, w)


def _extrapolate(start: Denoise, goal: Denoise, w: float | np.ndarray) -> Denoise:
    """``start`` at w = 0, ``goal`` at w = 1, and beyond for w > 1."""
    if np.ndim(w) == 0 and float(w) in (0.0, 1.0):
        return goal if float(w) == 1.0 else start

    def guided(x: Array, t: Times) -> tuple[Array, Array]:
        scale = per_sample(w, x)
        (x0_hat, eps_hat), (x0_goal, eps_goal) = start(x, t), goal(x, t)
        return x0_hat + scale * (x0_goal - x0_hat), eps_hat + scale * (eps_goal - eps_hat)

    return guided
