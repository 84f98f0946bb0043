r"""Guidance: functions that map denoisers to a denoiser that follows a condition more closely.

At a fixed (x_t, t) eps_hat is an affine function of x0_hat, so guiding one estimate guides the
other equally. The arguments ``denoise``, ``cond``, ``uncond``, ... are denoisers: they map (x, t)
to (x0_hat, eps_hat), with t a scalar or one time per sample, and so does each result. They combine:

>>> import numpy as np
>>> from npdiff.exact import Gaussian
>>> from npdiff.schedules import linear_betas
>>> schedule = linear_betas()
>>> cond, uncond = (Gaussian(m, 0.5).denoiser(schedule) for m in ([0.8, 0.4], [0.0, 0.0]))
>>> strong = classifier_free(cond, uncond, w=5.0)
>>> strong = guidance_interval(strong, cond, schedule, low=0.2, high=5.0)
>>> denoise = dynamic_threshold(rescale_cfg(strong, cond, schedule, phi=0.7), schedule)
>>> bool(abs(denoise(np.array([[1.0, 0.5]]), 300)[0]).max() <= 1.0)
True
"""

from npdiff.guidance.batch import batched_cfg
from npdiff.guidance.classifier import (
    LogProbGradient,
    classifier_guidance,
    classifier_mean_shift,
    label_gradient,
)
from npdiff.guidance.contrast import dynamic_threshold, rescale_cfg
from npdiff.guidance.extrapolation import autoguidance, classifier_free, from_paper_scale
from npdiff.guidance.interval import guidance_interval

__all__ = [
    "LogProbGradient",
    "autoguidance",
    "batched_cfg",
    "classifier_free",
    "classifier_guidance",
    "classifier_mean_shift",
    "dynamic_threshold",
    "from_paper_scale",
    "guidance_interval",
    "label_gradient",
    "rescale_cfg",
]
