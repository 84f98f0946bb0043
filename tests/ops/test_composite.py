"""The composites: their parts in turn, every gradient, and what they refuse."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.verify import pullback

pytestmark = pytest.mark.usefixtures("way")  # the definitions, then the kernels

PRESENT = list(product([False, True], repeat=3))  # modulated, shifted, added


def arguments(rng, n, space, C, F, present, kernel=None):
    modulated, shifted, added = present
    kernel = (3,) * len(space) if kernel is None else kernel
    arrays = [rng.standard_normal((n, *space, C)), *rng.standard_normal((2, C))]
    arrays += [rng.standard_normal((*kernel, C, F)), rng.standard_normal(F)]
    arrays += [rng.standard_normal((n, C)) if modulated else None for _ in range(2)]
    arrays.append(rng.standard_normal((n, F)) if shifted else None)
    arrays.append(rng.standard_normal((n, *space, F)) if added else None)
    return arrays


def op_of_present(arrays, **options):
    """The op as a function of the arrays that are there, and these."""
    there = [a is not None for a in arrays]

    def op(*given):
        given = list(given)
        y, norm_silu_conv_pullback = ops.norm_silu_conv(
            *(given.pop(0) if t else None for t in there), **options
        )

        def op_pullback(dy):
            found = norm_silu_conv_pullback(dy)
            assert [d is not None for d in found] == there
            return tuple(d for d in found if d is not None)

        return y, op_pullback

    return op, [a for a in arrays if a is not None]


@pytest.mark.parametrize("present", PRESENT)
@pytest.mark.parametrize(
    ("n", "space", "C", "F"),
    [
        (2, (2, 3), 4, 3),
        (9, (3, 4), 4, 5),
        (2, (5,), 6, 2),
        (2, (2, 3, 2), 2, 4),
        (2, (3, 3), 8, 1),
    ],
)
def test_every_gradient(n, space, C, F, present) -> None:
    """By central differences, on one to three axes, for all methods of convolution."""
    arrays = arguments(np.random.default_rng(0), n, space, C, F, present)
    op, given = op_of_present(arrays, groups=2)
    report = pullback(op, *given).check()
    assert len(report.rows) == len(given)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_every_gradient_with_dropout(rate) -> None:
    arrays = arguments(np.random.default_rng(1), 2, (3, 4), 4, 3, (True, True, True))
    op, given = op_of_present(arrays, groups=2, rate=rate, key=Key(1, (0, 1), 5, "dropout"))
    pullback(op, *given).check()


@given(st.tuples(*[st.integers(1, 6)] * 4), st.sampled_from(PRESENT), st.integers(0, 9))
def test_it_is_its_parts(sizes, present, seed) -> None:
    """Norm, modulation, SiLU, dropout, convolution, embedding and residual, one after the other."""
    n, height, width, F = sizes
    arrays = arguments(np.random.default_rng(seed), n, (height, width), 6, F, present)
    x, gamma, beta, w, b, scale, offset, shift, residual = arrays
    options = {"rate": 0.3, "key": Key(seed, tuple(range(n)))} if seed % 2 else {}
    y, _ = ops.norm_silu_conv(*arrays, groups=3, eps=0.1, padding=((1, 1), (0, 2)), **options)
    with definitions_only():
        h = ops.group_norm(x, gamma, beta, groups=3, eps=0.1)[0]
        h = h if scale is None else h * (1.0 + scale)[:, None, None] + offset[:, None, None]
        h = h / (1.0 + np.exp(-h))
        if options:
            h = ops.dropout(h, **options)[0]
        expected = ops.conv(h, w, b, padding=((1, 1), (0, 2)))[0]
    expected = expected if shift is None else expected + shift[:, None, None]
    expected = expected if residual is None else expected + residual
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [None, (5, 8)])
@pytest.mark.parametrize("shape", [(2, 3, 4), (9, 3, 4)])
def test_upsampled(normals, shape, size) -> None:
    """The large image written out; every gradient."""
    x, w, b = normals((*shape, 4), (3, 3, 4, 5), (5,))
    y, _ = ops.upsample_conv(x, w, b, size=size)
    height, width = size or (6, 8)
    large = np.pad(
        x.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width], ((0,), (1,), (1,), (0,))
    )
    expected = sum(
        large[:, i : i + height, j : j + width] @ w[i, j] for i, j in product(range(3), repeat=2)
    )
    np.testing.assert_allclose(y, expected + b, rtol=1e-12, atol=1e-12)
    pullback(ops.upsample_conv, x, w, b, size=size).check()


@pytest.mark.parametrize("space", [(5,), (2, 3, 2)])
def test_upsampled_on_other_axes(normals, space) -> None:
    x, w, b = normals((2, *space, 4), (*(3,) * len(space), 4, 5), (5,))
    pullback(ops.upsample_conv, x, w, b).check()


def test_what_does_not_fit() -> None:
    """The same complaint, with kernels or without."""
    arrays = arguments(np.random.default_rng(0), 2, (8, 8), 6, 4, (False, False, False))
    with pytest.raises(InputError, match="4 groups do not divide 6 channels"):
        ops.norm_silu_conv(*arrays, groups=4)
    with pytest.raises(InputError, match="6 channels"):
        ops.norm_silu_conv(*arrays[:3], np.ones((3, 3, 5, 4)), *arrays[4:], groups=2)
    with pytest.raises(InputError, match="does not fit"):
        ops.norm_silu_conv(*arrays[:3], np.ones((9, 9, 6, 4)), *arrays[4:], groups=2, padding=0)
    with pytest.raises(InputError, match="5"):
        ops.upsample_conv(arrays[0], np.ones((3, 3, 5, 4)), arrays[4])
