"""Checks of embeddings and sinusoidal features."""

import cmath
from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative
from npdiff.ops._embedding import VARIANTS


@check("embedding", method="row by row", tolerance=1e-14)
def embedding_row_by_row(case: Case) -> float:
    """The row of each index; the gradient of a row is the sum over all uses of it."""
    shape = case.choose([(5,), (2, 3), (), (4, 1, 2)])
    table, index = case.normal((4, 3)), case.rng.integers(4, size=shape)
    y, pullback = ops.embedding(table, index=case.array(index))
    dy = case.rng.standard_normal(y.shape)
    rows, received = np.zeros(y.shape), np.zeros((4, 3))
    for at in np.ndindex(*shape):
        rows[at] = to_host(table)[index[at]]
        received[index[at]] += dy[at]
    return max(relative(y, rows), relative(pullback(case.array(dy))[0], received))


@check(
    "sinusoidal",
    "sinusoidal-pullback",
    method="powers and cmath",
    tolerance=1e-12,
    cases=2 * len(VARIANTS),
)
def sinusoids_one_by_one(case: Case) -> dict[str, float]:
    """Each frequency as a power of P, each feature separately; three layouts, odd widths."""
    variant, longest = case.choose(VARIANTS), case.rng.uniform(50.0, 20_000.0)
    width = 8 + case.index % 2

    def f(t: np.ndarray) -> np.ndarray:
        y, half = np.zeros((t.size, width), dtype=complex), width // 2
        last = half - 1 if variant == "ddpm" else half
        for n, i in np.ndindex(t.size, half):
            angle = complex(t[n]) / longest ** (i / last)
            sine, cosine = {
                "ddpm": (i, half + i), "adm": (half + i, i), "transformer": (2 * i, 2 * i + 1)
            }[variant]  # fmt: skip
            y[n, sine], y[n, cosine] = cmath.sin(angle), cmath.cos(angle)
        return y

    def op(t: Any) -> Any:
        return ops.sinusoidal(t, width=width, variant=variant, longest=longest)

    value, slope = compare(case, op, f, case.rng.uniform(-20.0, 20.0, 4))
    return {"sinusoidal": value, "sinusoidal-pullback": slope}


@check("sinusoidal", method="default options", tolerance=1e-14, cases=1)
def sinusoids_by_default(case: Case) -> float:
    """Cosines first; the longest period is ten thousand times the shortest, up to delta."""
    t = case.rng.uniform(1.0, 900.0, 3)
    y, _ = ops.sinusoidal(case.array(t), width=4)
    rates = [1.0, 0.01]
    waves = [[f(r * a) for f in (np.cos, np.sin) for r in rates] for a in t]
    return relative(y, waves)
