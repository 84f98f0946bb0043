"""npdiff: diffusion models from scratch in NumPy and CuPy.

No autograd and no deep-learning framework: every forward pass and every gradient is written by
hand, and proved. What is imported here needs NumPy alone; training runs, pictures and files are in
:mod:`npdiff.train`, :mod:`npdiff.generate`, :mod:`npdiff.pictures` and :mod:`npdiff.metrics`.
"""

from npdiff import (
    denoiser,
    exact,
    grids,
    guidance,
    likelihood,
    nn,
    objective,
    ops,
    parameterisation,
    process,
    random,
    samplers,
    schedules,
    tree,
)
from npdiff.errors import InputError, TrainingError
from npdiff.pullback import checkpoint, forward_only

__version__ = "0.2.0"

__all__ = [
    "InputError",
    "TrainingError",
    "checkpoint",
    "denoiser",
    "exact",
    "forward_only",
    "grids",
    "guidance",
    "likelihood",
    "nn",
    "objective",
    "ops",
    "parameterisation",
    "process",
    "random",
    "samplers",
    "schedules",
    "tree",
]
