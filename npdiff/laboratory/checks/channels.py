"""Checks of the maps of channels and of vectors: affine maps, embeddings, joining and cutting."""

import cmath
from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative
from npdiff.ops._embedding import VARIANTS

SPACES: list[tuple[int, ...]] = [(), (3,), (2, 3), (2, 1, 3)]


@check("linear", "linear-pullback", route="sums over indices, complex step", tolerance=1e-13)
def linear_by_sums(case: Case) -> dict[str, float]:
    """The sum over channels, one product at a time, with and without a bias."""
    bias = case.index % 2 == 0

    def f(x: Any, w: Any, b: Any = None) -> Any:
        y = np.zeros((*x.shape[:-1], w.shape[1]), dtype=complex)
        for at in np.ndindex(*y.shape):
            y[at] = sum(x[at[:-1]][c] * w[c, at[-1]] for c in range(w.shape[0]))
            y[at] += b[at[-1]] if bias else 0.0
        return y

    shapes = [(2, *case.choose(SPACES), 3), (3, 4), *([(4,)] if bias else [])]
    args = [1.0 + case.rng.standard_normal(shape) for shape in shapes]
    value, slope = compare(case, ops.linear, f, *args)
    return {"linear": value, "linear-pullback": slope}


@check("shift", route="one number after the other, complex step", tolerance=1e-14)
def shift_by_indices(case: Case) -> float:
    """A vector added at every position; value and pullback."""

    def f(x: Any, e: Any) -> Any:
        y = x.astype(complex)
        for at in np.ndindex(*x.shape):
            y[at] += e[at[0], at[-1]]
        return y

    x = case.rng.standard_normal((2, *case.choose(SPACES), 4))
    return max(compare(case, ops.shift, f, x, case.rng.standard_normal((2, 4))))


@check("modulate", "modulate-pullback", route="index by index, complex step", tolerance=1e-14)
def modulate_by_indices(case: Case) -> dict[str, float]:
    """A gain 1 + a and an offset b, of a sample and a channel."""

    def f(x: Any, a: Any, b: Any) -> Any:
        y = np.zeros(x.shape, dtype=complex)
        for at in np.ndindex(*x.shape):
            here = at[0], at[-1]
            y[at] = x[at] + x[at] * a[here] + b[here]
        return y

    x = case.rng.standard_normal((3, *case.choose(SPACES), 2))
    a, b = case.rng.standard_normal((2, 3, 2))
    value, slope = compare(case, ops.modulate, f, x, a, b)
    return {"modulate": value, "modulate-pullback": slope}


@check("concat", "split", route="lists of numbers", tolerance=0.0)
def joined_and_cut(case: Case) -> dict[str, float]:
    """Rows of numbers joined as Python lists are; and cut again, value and pullback."""
    a, b = case.normal((2, 3, 2)), case.normal((2, 3, 4))
    y, concat_vjp = ops.concat(a, b)
    rows = [
        [p + q for p, q in zip(m, n, strict=True)]
        for m, n in zip(to_host(a).tolist(), to_host(b).tolist(), strict=True)
    ]
    back = concat_vjp(y)
    joined = max(relative(y, rows), relative(back[0], a), relative(back[1], b))
    parts, split_vjp = ops.split(y, parts=3)
    pieces = [[[row[i : i + 2] for row in m] for m in rows] for i in (0, 2, 4)]
    cut = [relative(part, piece) for part, piece in zip(parts, pieces, strict=True)]
    return {"concat": joined, "split": max(*cut, relative(split_vjp(*parts)[0], rows))}


@check("embedding", route="row by row", tolerance=1e-14)
def embedding_row_by_row(case: Case) -> float:
    """The row of each index; what a row receives is the sum over all that named it."""
    shape = case.choose([(5,), (2, 3), (), (4, 1, 2)])
    table, index = case.normal((4, 3)), case.rng.integers(4, size=shape)
    y, vjp = ops.embedding(table, index=case.array(index))
    dy = case.rng.standard_normal(y.shape)
    rows, received = np.zeros(y.shape), np.zeros((4, 3))
    for at in np.ndindex(*shape):
        rows[at] = to_host(table)[index[at]]
        received[index[at]] += dy[at]
    return max(relative(y, rows), relative(vjp(case.array(dy))[0], received))


@check("sinusoidal", "sinusoidal-pullback", route="powers and cmath", tolerance=1e-12, cases=6)
def sinusoids_one_by_one(case: Case) -> dict[str, float]:
    """Each frequency as a power of P, each feature by itself; three layouts, odd widths."""
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


@check("sinusoidal", route="the options that are not given", tolerance=1e-14, cases=1)
def sinusoids_by_default(case: Case) -> float:
    """Cosines first, and the longest wave is ten thousand times the shortest, but for delta."""
    t = case.rng.uniform(1.0, 900.0, 3)
    y, _ = ops.sinusoidal(case.array(t), width=4)
    rates = [1.0, 0.01]
    waves = [[f(r * a) for f in (np.cos, np.sin) for r in rates] for a in t]
    return relative(y, waves)
