"""npdiff: diffusion models from scratch in NumPy and CuPy.

No automatic differentiation and no deep-learning framework: every forward pass and every gradient
is written by hand and verified.

>>> import npdiff
>>> checkpoint = npdiff.load()                                 # doctest: +SKIP
>>> images = npdiff.generate(checkpoint, [7] * 4, guidance=3.0)  # doctest: +SKIP
>>> npdiff.report.save_png(npdiff.report.image_grid(images), "sevens.png")  # doctest: +SKIP

Every name below is imported when it is first used, so that ``import npdiff`` takes no time. The
library needs NumPy; image files, plots and model files need the packages that ``pip`` installs with
npdiff.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from npdiff import (
        backend,
        data,
        denoiser,
        editing,
        exact,
        generation,
        guidance,
        laboratory,
        likelihood,
        metrics,
        nn,
        objective,
        ops,
        parameterization,
        process,
        pullback,
        random,
        report,
        runs,
        runtime,
        samplers,
        schedules,
        spacings,
        training,
        tree,
        variances,
        verify,
    )
    from npdiff.errors import InputError, TrainingError
    from npdiff.generation import SamplingConfig, generate, load
    from npdiff.pullback import forward_only, gradient_checkpoint
    from npdiff.runs import Checkpoint, Config
    from npdiff.training import fit, train

__version__ = "0.4.0"

#: The modules that export the classes and functions below; every other name is a module itself.
_HOMES = {
    "Checkpoint": "npdiff.runs",
    "Config": "npdiff.runs",
    "InputError": "npdiff.errors",
    "SamplingConfig": "npdiff.generation",
    "TrainingError": "npdiff.errors",
    "fit": "npdiff.training",
    "forward_only": "npdiff.pullback",
    "generate": "npdiff.generation",
    "gradient_checkpoint": "npdiff.pullback",
    "load": "npdiff.generation",
    "train": "npdiff.training",
}

__all__ = [
    "Checkpoint",
    "Config",
    "InputError",
    "SamplingConfig",
    "TrainingError",
    "backend",
    "data",
    "denoiser",
    "editing",
    "exact",
    "fit",
    "forward_only",
    "generate",
    "generation",
    "gradient_checkpoint",
    "guidance",
    "laboratory",
    "likelihood",
    "load",
    "metrics",
    "nn",
    "objective",
    "ops",
    "parameterization",
    "process",
    "pullback",
    "random",
    "report",
    "runs",
    "runtime",
    "samplers",
    "schedules",
    "spacings",
    "train",
    "training",
    "tree",
    "variances",
    "verify",
]

if not _typing.TYPE_CHECKING:  # or a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return getattr(_importlib.import_module(_HOMES[name]), name)
        if name in __all__:
            return _importlib.import_module(f"npdiff.{name}")
        raise AttributeError(f"module 'npdiff' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*__all__, "__version__"]
