"""npdiff: diffusion models from scratch in NumPy and CuPy.

No autograd and no deep-learning framework: every forward pass and every gradient is written by
hand, and proved. What is here needs NumPy alone, and each module is loaded when it is first used;
training runs, pictures and files are in :mod:`npdiff.training`, :mod:`npdiff.generation`,
:mod:`npdiff.report.pictures` and :mod:`npdiff.metrics`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from npdiff.errors import InputError, TrainingError
from npdiff.pullback import forward_only, gradient_checkpoint

if TYPE_CHECKING:
    from npdiff import (
        denoiser,
        exact,
        guidance,
        likelihood,
        nn,
        objective,
        ops,
        parameterization,
        process,
        random,
        samplers,
        schedules,
        spacings,
        tree,
    )
else:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return import_module(f"npdiff.{name}")
        raise AttributeError(f"module 'npdiff' has no attribute {name!r}")


__version__ = "0.3.0"

__all__ = [
    "InputError",
    "TrainingError",
    "denoiser",
    "exact",
    "forward_only",
    "gradient_checkpoint",
    "guidance",
    "likelihood",
    "nn",
    "objective",
    "ops",
    "parameterization",
    "process",
    "random",
    "samplers",
    "schedules",
    "spacings",
    "tree",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
