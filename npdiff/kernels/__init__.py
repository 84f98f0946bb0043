"""Fast versions of functions of :mod:`npdiff.ops`, each verified against its definition there.

A kernel is a function with the name and signature of a definition that returns the same value and
pullback, or None if it does not cover the arguments (a shape, a dtype, a backend) or would not be
faster. :func:`npdiff.acceleration.definitions_only` switches all of them off.

Kernels compute in scratch arrays that belong to the thread (:mod:`npdiff.kernels.workspace`). The
arrays they return are new, and their pullbacks are pure and may be called again.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

#: The modules with a kernel for a definition, in the order in which they are tried.
KERNELS: dict[str, tuple[str, ...]] = {
    "attention": ("attention", "cuda.attention"),
    "conv": ("conv", "cuda.conv"),
    "group_norm": ("norm", "cuda.norm"),
    "norm_silu_conv": ("composite", "cuda.composite"),
    "silu": ("cuda.rows",),
    "softmax": ("cuda.rows",),
    "upsample_conv": ("upsampled",),
}


def of(name: str) -> tuple[Callable[..., Any], ...]:
    """The kernels for the definition called ``name``, imported on first use."""
    modules = (import_module(f"{__name__}.{module}") for module in KERNELS.get(name, ()))
    return tuple(getattr(module, name) for module in modules)
