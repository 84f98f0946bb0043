"""From a trained model to samples: model, denoiser, guidance, clipping, sampler, in that order.

>>> from npdiff.generation import generate, load                  # doctest: +SKIP
>>> from npdiff.report import image_grid, save_png                # doctest: +SKIP
>>> checkpoint = load("runs/digits")                              # doctest: +SKIP
>>> sevens = generate(checkpoint, [7] * 16, guidance=3.0)         # doctest: +SKIP
>>> save_png(image_grid(sevens), "sevens.png")                    # doctest: +SKIP

A sample is a function of the model, its label, the sampling configuration, the seed and its own
index. It does not depend on the other samples of a call.
"""

from npdiff.generation.config import SamplingConfig
from npdiff.generation.frames import Frame, enough_memory, frames_of, start, trajectory
from npdiff.generation.network import GPU_ROWS, denoiser, sharded
from npdiff.generation.samples import SHIPPED, generate, load, resolve_labels

__all__ = [
    "GPU_ROWS",
    "SHIPPED",
    "Frame",
    "SamplingConfig",
    "denoiser",
    "enough_memory",
    "frames_of",
    "generate",
    "load",
    "resolve_labels",
    "sharded",
    "start",
    "trajectory",
]
