r"""Guidance: from denoisers to a denoiser that leans towards a condition.

At a fixed (x_t, t) eps is an affine function of x_0, so guiding either of a denoiser's two
estimates guides the other alike. Everything here maps denoisers to a denoiser and can be combined:

>>> import numpy as np
>>> from npdiff.exact import Gaussian
>>> from npdiff.schedules import linear_betas
>>> schedule = linear_betas()
>>> cond, uncond = (Gaussian(m, 0.5).denoiser(schedule) for m in ([0.8, 0.4], [0.0, 0.0]))
>>> strong = guidance_interval(classifier_free(cond, uncond, w=5.0), cond, schedule, low=0.2, high=5.0)
>>> denoise = dynamic_threshold(rescale_cfg(strong, cond, schedule, phi=0.7), schedule)
>>> bool(abs(denoise(np.array([[1.0, 0.5]]), 300)[0]).max() <= 1.0)
True
"""

from npdiff.guidance.batch import batched_cfg
from npdiff.guidance.classifier import (
    LogProbGradient,
    classifier_guidance,
    label_gradient,
    classifier_mean_shift,
)
from npdiff.guidance.contrast import dynamic_threshold, rescale_cfg
from npdiff.guidance.extrapolation import autoguidance, classifier_free, from_paper_scale
from npdiff.guidance.interval import guidance_interval

__all__ = [
    "LogProbGradient",
    "autoguidance",
    "batched_cfg",
    "classifier_free",
    "classifier_guided",
    "dynamic_threshold",
    "from_paper_scale",
    "guidance_interval",
    "label_gradient",
    "mean_shifted",
    "rescale_cfg",
]
