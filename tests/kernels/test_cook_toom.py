"""Winograd's matrices: published values, exactness, properties for the kernel, wrong input."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import verify
from npdiff.errors import InputError
from npdiff.kernels.cook_toom import POINTS, along_axes, matrices, tiles

SIZES = [(2, 3), (4, 3), (6, 3), (4, 2), (2, 2), (9, 3)]

#: Lavin and Gray 2016, section 4: A^T, G, B^T of F(2, 3) and of F(4, 3), and their points.
CUSTOMARY = {2: (0, 1, -1), 4: (0, 1, -1, 2, -2)}
PUBLISHED = {
    2: (
        [[1, 1, 1, 0], [0, 1, -1, -1]],
        [["1", "0", "0"], ["1/2", "1/2", "1/2"], ["1/2", "-1/2", "1/2"], ["0", "0", "1"]],
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    ),
    4: (
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
        [
            ["1/4", "0", "0"],
            ["-1/6", "-1/6", "-1/6"],
            ["-1/6", "1/6", "-1/6"],
            ["1/24", "1/12", "1/6"],
            ["1/24", "-1/12", "1/6"],
            ["0", "0", "1"],
        ],
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
    ),
}


def exact(rows: list) -> np.ndarray:
    return np.array([[Fraction(entry) for entry in row] for row in rows], dtype=object)


def triads(AT: np.ndarray, G: np.ndarray, BT: np.ndarray) -> np.ndarray:
    """For each product the outer product of its row of AT, G and BT, which no scaling changes."""
    return AT.T[:, :, None, None] * G[:, None, :, None] * BT[:, None, None, :]


@pytest.mark.parametrize("m", PUBLISHED)
def test_the_matrices_equal_the_published_ones(m: int) -> None:
    legacy = [exact(rows) for rows in PUBLISHED[m]]
    assert (triads(*matrices(m, 3, CUSTOMARY[m]).arrays(object)) == triads(*legacy)).all()


def test_f_4_3_equals_the_published_one_up_to_signs() -> None:
    for found, legacy in zip(
        matrices(4, 3, CUSTOMARY[4]).arrays(object), PUBLISHED[4], strict=True
    ):
        assert (found == exact(legacy)).all()


@given(
    st.integers(2, 6),
    st.integers(2, 4),
    st.data(),
)
def test_any_distinct_points_give_the_exact_correlation(
    m: int, r: int, data: st.DataObject
) -> None:
    """In exact arithmetic, for random points."""
    others = st.fractions(min_value=-4, max_value=4, max_denominator=5).filter(lambda p: p != 1)
    count = m + r - 3
    points = data.draw(st.lists(others, min_size=count, max_size=count, unique=True))
    at = data.draw(st.integers(0, count))
    F = matrices(m, r, (*points[:at], Fraction(1), *points[at:]))
    AT, G, BT = F.arrays(object)
    whole = st.integers(-9, 9)
    d = np.array(data.draw(st.lists(whole, min_size=F.n, max_size=F.n)), dtype=object)
    g = np.array(data.draw(st.lists(whole, min_size=r, max_size=r)), dtype=object)
    y = AT @ ((G @ g) * (BT @ d))
    assert list(y) == [sum(d[k + j] * g[j] for j in range(r)) for k in range(m)]
    assert F.one == at
    assert (AT[:, at] == 1).all()


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_transforms_of_inputs_and_outputs_have_small_integers(m: int, r: int) -> None:
    F = matrices(m, r)
    assert all(entry.denominator == 1 for rows in (F.AT, F.BT) for row in rows for entry in row)
    for row in F.BT:
        assert np.gcd.reduce([int(entry) for entry in row]) == 1


@pytest.mark.parametrize(("m", "r"), SIZES)
@pytest.mark.parametrize("q", [1, 2, 3])
def test_a_value_added_to_the_product_at_one_is_added_to_every_output(
    m: int, r: int, q: int
) -> None:
    """The kernel adds the bias there."""
    F = matrices(m, r)
    products = np.zeros((F.n,) * q)
    products[(F.one,) * q] = 3.0
    assert (along_axes(F.arrays()[0], products, range(q)) == np.full((m,) * q, 3.0)).all()


@pytest.mark.parametrize("q", [1, 2, 3])
@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (4, 2)])
def test_the_pullback_of_tiles_equals_finite_differences(m: int, r: int, q: int) -> None:
    rng, F = np.random.default_rng(q), matrices(m, r)
    d, g = rng.standard_normal((3, *(F.n,) * q, 2)), rng.standard_normal((*(r,) * q, 2, 4))
    verify.pullback(lambda d, g: tiles(d, g, F), d, g).check()


def test_the_chosen_points_cause_less_rounding_than_the_customary_ones() -> None:
    rng = np.random.default_rng(0)
    d = rng.standard_normal((200, 6, 6, 32)).astype(np.float32)
    g = rng.standard_normal((3, 3, 32, 16)).astype(np.float32)

    def error(points: tuple[int, ...] | None) -> float:
        F = matrices(4, 3, points)
        y, right = tiles(d, g, F)[0], tiles(d.astype(np.float64), g.astype(np.float64), F)[0]
        return float(np.sqrt(np.mean((y - right) ** 2) / np.mean(right**2)))

    assert error(None) < 0.75 * error(CUSTOMARY[4]) < 3e-6


def test_arrays_are_new_and_have_the_given_dtype() -> None:
    first, second = matrices(4, 3).arrays(np.float32), matrices(4, 3).arrays(np.float32)
    first[0][:] = 0
    assert all(array.dtype == np.float32 for array in first)
    assert second[0].any()
    assert second[1][1, 0] == np.float32(-1 / 6)


def test_matrices_are_cached() -> None:
    assert matrices(4, 3) is matrices(4, 3)
    assert matrices(4, 3) == matrices(4, 3, POINTS[:5])


@pytest.mark.parametrize(
    ("m", "r", "points", "message"),
    [
        (1, 3, None, "at least 2 outputs"),
        (4, 1, None, "at least 2 outputs"),
        (12, 3, None, "needs 13 different finite points"),
        (2, 3, (0, 1, 2, 3), "needs 3 different finite points"),
        (2, 3, (0, 1), "needs 3 different finite points, 1 among them, got 0, 1:"),
        (2, 3, (0, 1, 1), "got 0, 1, 1:"),
        (2, 3, (0, 2, -1), "1 among them"),
        (2, 3, (), "got none"),
    ],
)
def test_wrong_points_are_refused(
    m: int, r: int, points: tuple[int, ...] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        matrices(m, r, points)


def test_importing_the_package_does_not_load_the_module() -> None:
    code = "import npdiff, sys; print('npdiff.kernels.cook_toom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
