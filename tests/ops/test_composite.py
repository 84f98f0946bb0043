"""Fused operations: equal to their parts, gradients, and invalid arguments."""

import subprocess
import sys
from itertools import product
from pkgutil import iter_modules

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import nn, ops
from npdiff.acceleration import definitions_only
from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.verify import pullback

pytestmark = pytest.mark.usefixtures("implementation")

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
    """The op as a function of the arrays that are not None, and these arrays."""
    there = [a is not None for a in arrays]

    def op(*given):
        given = list(given)
        everything = (given.pop(0) if t else None for t in there)
        y, norm_silu_conv_pullback = ops.norm_silu_conv(*everything, **options)

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
def test_gradients_against_central_differences(n, space, C, F, present) -> None:
    """On one to three axes, for all convolution algorithms."""
    arrays = arguments(np.random.default_rng(0), n, space, C, F, present)
    op, given = op_of_present(arrays, groups=2)
    report = pullback(op, *given).check()
    assert len(report.gradients) == len(given)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_gradients_with_dropout(rate) -> None:
    arrays = arguments(np.random.default_rng(1), 2, (3, 4), 4, 3, (True, True, True))
    op, given = op_of_present(arrays, groups=2, rate=rate, key=Key(1, (0, 1), 5, "dropout"))
    pullback(op, *given).check()


@given(st.tuples(*[st.integers(1, 6)] * 4), st.sampled_from(PRESENT), st.integers(0, 9))
def test_the_value_is_that_of_the_separate_ops(sizes, present, seed) -> None:
    """Norm, modulation, SiLU, dropout, convolution, embedding and residual, in turn."""
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
def test_upsample_conv_is_a_convolution_of_the_upsampled_image(normals, shape, size) -> None:
    """Compared with a sum over taps of the explicit large image; and the gradients."""
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
def test_upsample_conv_on_one_and_three_axes(normals, space) -> None:
    x, w, b = normals((2, *space, 4), (*(3,) * len(space), 4, 5), (5,))
    pullback(ops.upsample_conv, x, w, b).check()


def test_wrong_shapes_are_rejected() -> None:
    """With the same messages with and without kernels."""
    arrays = arguments(np.random.default_rng(0), 2, (8, 8), 6, 4, (False, False, False))
    with pytest.raises(InputError, match="4 groups do not divide 6 channels"):
        ops.norm_silu_conv(*arrays, groups=4)
    with pytest.raises(InputError, match="6 channels"):
        ops.norm_silu_conv(*arrays[:3], np.ones((3, 3, 5, 4)), *arrays[4:], groups=2)
    with pytest.raises(InputError, match="does not fit"):
        ops.norm_silu_conv(*arrays[:3], np.ones((9, 9, 6, 4)), *arrays[4:], groups=2, padding=0)
    with pytest.raises(InputError, match="5"):
        ops.upsample_conv(arrays[0], np.ones((3, 3, 5, 4)), arrays[4])


RELOAD = """
import importlib, pkgutil
import numpy as np
from npdiff import nn, ops
from npdiff.acceleration import definitions_only
for package in (ops, nn):
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.reload(importlib.import_module(info.name))
    importlib.reload(package)
with definitions_only():
    network = nn.UNet.init(0, width=8, blocks=1, heads=2, classes=3, adagn=False)
    y, pullback = network(np.zeros((2, 8, 8, 1), "f4"), np.ones(2, "f4"))
    pullback(y)
    block = nn.ResBlock.init(np.random.default_rng(0), 8, 8, 5)
    y, pullback = block(np.ones((2, 4, 4, 8)), np.ones((2, 5)))
    pullback(y)
"""


def test_all_ops_work_after_their_modules_are_reloaded() -> None:
    subprocess.run([sys.executable, "-c", RELOAD], check=True)


@pytest.mark.parametrize("package", [ops, nn])
def test_no_public_name_hides_a_module(package) -> None:
    assert not {info.name for info in iter_modules(package.__path__)} & set(package.__all__)
