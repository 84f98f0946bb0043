"""Checks of the time embedding, written out, with all gradients."""

from typing import Any

import numpy as np

from npdiff import nn
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.checks.nn._textbook import _linear, _perturbed
from npdiff.laboratory.complex_step import compare_trees
from npdiff.laboratory.registry import Case, check


@check("time-embedding", method="textbook ops, complex step", tolerance=1e-11, cases=2)
def time_embedding_written_out(case: Case) -> float:
    """Two layouts of the sinusoids, then affine, SiLU, affine; every gradient."""
    variant = case.choose(["ddpm", "adm"])

    def f(layer: Any, t: Any) -> Any:
        half = layer.first.w.shape[0] // 2
        last = half - 1 if variant == "ddpm" else half
        angles = [t * 10_000.0 ** (-i / last) for i in range(half)]
        sines, cosines = [np.sin(a) for a in angles], [np.cos(a) for a in angles]
        waves = sines + cosines if variant == "ddpm" else cosines + sines
        h = _linear(np.stack(waves, axis=1), layer.first)
        return _linear(textbook.silu(h), layer.second)

    layer = _perturbed(case, nn.TimeEmbedding.init(case.rng, 6, 4, variant=variant))
    return max(compare_trees(case, layer, f, case.rng.uniform(0.5, 9.0, 3)))
