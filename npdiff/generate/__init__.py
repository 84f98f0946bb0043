"""From a trained model to samples: model, denoiser, guidance, clipping, sampler, in that order.

>>> from npdiff.generate import generate, load          # doctest: +SKIP
>>> from npdiff import pictures                         # doctest: +SKIP
>>> model = load("runs/digits")                         # doctest: +SKIP
>>> sevens = generate(model, [7] * 16, guidance=3.0)    # doctest: +SKIP
>>> pictures.save_png(pictures.grid(sevens), "sevens.png")  # doctest: +SKIP

A sample is a function of the model, its label, the settings, the seed and its own index, and not of
how many others are made beside it.
"""

from npdiff.generate.frames import Frame, enough_memory, film, start, trajectory
from npdiff.generate.network import GPU_ROWS, denoiser, remembering, sharded
from npdiff.generate.samples import SHIPPED, generate, load, places
from npdiff.generate.settings import Settings

__all__ = [
    "GPU_ROWS",
    "SHIPPED",
    "Frame",
    "Settings",
    "denoiser",
    "enough_memory",
    "film",
    "generate",
    "load",
    "places",
    "remembering",
    "sharded",
    "start",
    "trajectory",
]
