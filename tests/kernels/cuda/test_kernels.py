"""Every GPU kernel equals its definition, value and pullback, on the emulator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only, frozen_weights
from npdiff.kernels.cuda.settings import CONVOLUTIONS, using
from npdiff.random import Key
from npdiff.verify import strict

#: Errors relative to the largest element: of sums of a few thousand terms in float32 and float64.
BOUND = {np.float32: 3e-6, np.float64: 1e-13}
#: F(4x4) in float32 loses a digit and a half more.
WINOGRAD = {np.float32: 3e-5, np.float64: 2e-13}


def normal(*shape, seed=0, dtype=np.float64, mean=0.0):
    rng = np.random.default_rng([seed, *shape])
    return (rng.standard_normal(shape) + mean).astype(dtype)


def on_device(values):
    """Arrays on the stand-in, read-only: neither a kernel nor a pullback may write to them."""
    placed = [None if a is None else strict.xp.asarray(a) for a in values]
    for a in placed:
        if a is not None:
            a._host.flags.writeable = False
    return placed


def compare(kernel, definition, args, bound, **options):
    """Compare a kernel with its definition in float64; the pullback is called twice."""
    exact = [None if a is None else a.astype(np.float64) for a in args]
    with definitions_only():
        y, pullback = definition(*exact, **options)
        dy = normal(*y.shape, seed=99).astype(args[0].dtype)
        expected = pullback(dy.astype(np.float64))
    with strict.transfers() as moves:
        traced = kernel(*on_device(args), **options)
        assert traced is not None
        (there,) = on_device([dy])
        moves.to_device.clear()
        found, again = traced[1](there), traced[1](there)
    assert moves == strict.Transfers()
    for name, a, b in zip(["y", *range(9)], (traced[0], *found), (y, *expected), strict=False):
        assert (a is None) == (b is None), name
        if a is not None:
            assert (a.dtype, a.shape) == (args[0].dtype, b.shape), name
            error = np.abs(a.get() - b).max() / max(1e-30, np.abs(b).max())
            assert error <= bound, f"{name}: {error:.1e}"
    assert len(found) == len(expected)
    for a, b in zip(found, again, strict=True):
        assert (a is None and b is None) or (a.get() == b.get()).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((2, 5, 7, 12), 3),  # groups of 4, one block with room left
        ((3, 4, 4, 64), 32),  # groups of 2, two blocks a sample
        ((1, 1, 1, 96), 32),  # one position
        ((2, 9, 120), 3),  # groups of 40, wider than a warp
        ((2, 3, 2, 2, 66), 33),  # the last block is not full
        ((1, 300, 5), 5),  # every channel for itself, many rows
    ],
)
def test_group_norm_equals_the_definition(emulator, kernel, shape, groups, dtype):
    C = shape[-1]
    args = [normal(*shape, dtype=dtype), normal(C, seed=1, dtype=dtype)]
    args.append(normal(C, seed=2, dtype=dtype))
    compare(kernel("group_norm"), ops.group_norm, args, BOUND[dtype], groups=groups)
    assert emulator.log == ["norm_silu", "norm_silu_pullback", "norm_silu_pullback"]


@pytest.mark.parametrize("mean", [1e3, 3e4])
def test_statistics_lose_no_digits_to_a_large_mean(emulator, kernel, mean):
    """E[x^2] - E[x]^2 in float32 would lose all digits: 3e4 squared is 2^30."""
    x = normal(2, 16, 16, 8, mean=mean, dtype=np.float32)
    one, zero = np.ones(8, np.float32), np.zeros(8, np.float32)
    y, _ = kernel("group_norm")(*on_device([x, one, zero]), groups=2)
    exact = x.astype(np.float64).reshape(2, 256, 2, 4)
    rest = exact - exact.mean(axis=(1, 3), keepdims=True)
    expected = rest / np.sqrt((rest**2).mean(axis=(1, 3), keepdims=True) + 1e-5)
    # The inputs themselves are rounded to half a unit in the last place.
    assert np.abs(y.get() - expected.reshape(x.shape)).max() < 2 * np.spacing(np.float32(mean))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 300), (513,)])
def test_silu_equals_the_definition(emulator, kernel, shape, dtype):
    compare(kernel("silu"), ops.silu, [20.0 * normal(*shape, dtype=dtype)], BOUND[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 64), (2, 3, 300), (300, 3)])
def test_softmax_equals_the_definition(emulator, kernel, shape, dtype):
    compare(kernel("softmax"), ops.softmax, [9.0 * normal(*shape, dtype=dtype)], BOUND[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("L", "M", "heads"), [(5, 5, 2), (4, 70, 1), (1, 1, 4)])
def test_attention_equals_the_definition(emulator, kernel, L, M, heads, dtype):
    shapes = [(2, L, 8), (2, M, 8), (2, M, 8)]
    args = [2.0 * normal(*shape, seed=i, dtype=dtype) for i, shape in enumerate(shapes)]
    compare(kernel("attention"), ops.attention, args, BOUND[dtype], heads=heads)
    assert emulator.log.count("softmax") == 3


def test_attention_with_a_mask_or_many_scores_uses_the_definition(emulator, kernel, monkeypatch):
    q, k, v = on_device([normal(2, 4, 8), normal(2, 4, 8), normal(2, 4, 8)])
    (mask,) = on_device([np.ones((2, 4), bool)])
    attention = kernel("attention")
    assert attention(q, k, v, heads=2) is not None
    assert attention(q, k, v, heads=2, mask=mask) is None
    assert attention(q, k, v, heads=3) is None
    assert attention(q, k[:, :3], v, heads=2) is None
    monkeypatch.setattr("npdiff.kernels.cuda.attention.MAX_SCORES", 2 * 2 * 4 * 4 - 1)
    assert attention(q, k, v, heads=2) is None


CONV_CASES = {
    "even": ((2, 8, 8, 3), (3, 3), None),
    "odd sizes": ((3, 5, 7, 4), (3, 3), None),
    "smaller than a tile": ((1, 1, 2, 2), (3, 3), None),
    "one line": ((2, 1, 9, 2), (3, 3), None),
    "no padding": ((2, 6, 9, 3), (3, 3), 0),
    "much padding": ((2, 4, 5, 3), (3, 3), 2),
    "one-sided": ((2, 5, 6, 3), (3, 3), ((0, 2), (1, 0))),
    "five taps": ((2, 6, 7, 3), (5, 5), None),
    "two and three": ((2, 6, 7, 3), (2, 3), None),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", ["winograd", "shifted"])
@pytest.mark.parametrize("case", CONV_CASES)
def test_conv_equals_the_definition(emulator, kernel, case, algorithm, dtype):
    shape, taps, padding = CONV_CASES[case]
    F = 5
    args = [normal(*shape, dtype=dtype), normal(*taps, shape[-1], F, seed=1, dtype=dtype)]
    args.append(normal(F, seed=2, dtype=dtype))
    bound = (WINOGRAD if algorithm == "winograd" else BOUND)[dtype]
    with using(convolution=algorithm):
        if algorithm == "winograd" and taps != (3, 3):
            assert kernel("conv")(*on_device(args), padding=padding) is None
            return
        compare(kernel("conv"), ops.conv, args, bound, padding=padding)
        compare(kernel("conv"), ops.conv, [*args[:2], None], bound, padding=padding)


@settings(max_examples=15)
@given(
    N=st.integers(1, 3), H=st.integers(1, 9), W=st.integers(1, 9), C=st.integers(1, 5),
    F=st.integers(1, 5), pads=st.tuples(*[st.integers(0, 2)] * 4),
)  # fmt: skip
def test_conv_of_any_size_equals_the_definition(compiled, N, H, W, C, F, pads):
    from npdiff.kernels.cuda.conv import conv
    from npdiff.kernels.cuda.device import DEVICES

    padding = (pads[:2], pads[2:])
    if H + sum(pads[:2]) < 3 or W + sum(pads[2:]) < 3:
        return
    args = [normal(N, H, W, C), normal(3, 3, C, F, seed=1), normal(F, seed=2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEVICES, "npdiff", lambda: compiled)
        for algorithm in ("winograd", "shifted"):
            with using(convolution=algorithm):
                compare(conv, ops.conv, args, 1e-12, padding=padding)


COMPOSITE_CASES = {
    "plain": "",
    "modulated": "scale offset",
    "shifted": "shift",
    "with a residual": "residual",
    "everything": "scale offset shift residual",
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", ["winograd", "shifted"])
@pytest.mark.parametrize("case", COMPOSITE_CASES)
def test_norm_silu_conv_equals_the_definition(emulator, kernel, case, algorithm, dtype):
    N, H, W, C, F = 2, 5, 6, 8, 4
    shapes = {
        "x": (N, H, W, C), "gamma": (C,), "beta": (C,), "w": (3, 3, C, F), "b": (F,),
        "scale": (N, C), "offset": (N, C), "shift": (N, F), "residual": (N, H, W, F),
    }  # fmt: skip
    given = {*["x", "gamma", "beta", "w", "b"], *COMPOSITE_CASES[case].split()}
    args = [
        normal(*shape, seed=i, dtype=dtype) if name in given else None
        for i, (name, shape) in enumerate(shapes.items())
    ]
    bound = (WINOGRAD if algorithm == "winograd" else BOUND)[dtype]
    with using(convolution=algorithm):
        compare(kernel("norm_silu_conv"), ops.norm_silu_conv, args, bound, groups=4, eps=1e-5)


def test_arguments_that_no_kernel_covers_use_the_definition(emulator, kernel):
    x, w, b, c = on_device([normal(2, 6, 6, 16), normal(3, 3, 16, 16), normal(16), normal(16)])
    narrow, pixel = on_device([normal(3, 3, 2, 16), normal(1, 1, 16, 4)])
    half, integers = on_device([normal(2, 4).astype(np.float16), np.arange(4)])
    empty, line = on_device([normal(0, 6, 6, 16), normal(2, 6, 16)])
    conv, norm = kernel("conv"), kernel("group_norm")
    composite = kernel("norm_silu_conv")
    assert conv(x, w, b) is not None
    assert conv(x, w, b, stride=2) is None
    assert conv(x, pixel) is None
    assert conv(x, narrow) is None  # the definition raises the error
    assert conv(x[..., :2], narrow) is None  # gathered into one product
    assert conv(empty, w) is None
    assert conv(line, w) is None
    assert conv(x, w, padding=-1) is None
    assert norm(x, b, c, groups=5) is None
    assert norm(x, b[:4], c, groups=4) is None
    assert composite(x, b, c, w, b, groups=4, rate=0.5, key=Key(0, (0, 1))) is None
    assert composite(x, b, c, w, b, groups=4, rate=0.0, key=Key(0, (0, 1))) is not None
    for f in (kernel("silu"), kernel("softmax")):
        assert f(half) is None
        assert f(integers) is None
    assert conv(x, w, b[:3]) is None
    assert composite(x, b, c, w, b, residual=x[:1], groups=4) is None
    assert composite(x, b, c, w, b, residual=x, groups=4, padding=0) is None
    mixed = strict.xp.asarray(normal(16, dtype=np.float32))
    assert norm(x, mixed, c, groups=4) is None
    assert conv(x, w, mixed) is None
    assert (
        composite(x, b, c, w, b, shift=strict.xp.zeros((2, 16), dtype=np.float32), groups=4) is None
    )
    assert norm(normal(2, 3, 4), normal(4), normal(4), groups=2) is None  # on the host


@pytest.mark.parametrize("algorithm", CONVOLUTIONS)
def test_definitions_call_the_kernels(emulator, algorithm):
    """With the convolution algorithm of the settings."""
    x, w = on_device([normal(2, 6, 6, 16), normal(3, 3, 16, 16)])
    with using(convolution=algorithm):
        ops.conv(x, w)
    first = {"auto": ["winograd_weights"], "winograd": ["winograd_weights"], "shifted": ["pad"]}
    assert emulator.log[:1] == first.get(algorithm, [])
    emulator.log.clear()
    with definitions_only():
        ops.conv(x, w)
        ops.silu(x)
    assert not emulator.log


def test_arguments_may_be_views(emulator, kernel):
    """That are not C-contiguous."""
    shapes = {"x": (2, 6, 5, 16), "gamma": (16,), "beta": (16,), "w": (3, 3, 16, 4), "b": (4,)}
    shapes |= {"scale": (2, 16), "offset": (2, 16), "shift": (2, 4), "residual": (2, 6, 5, 4)}
    args = [normal(*shape, seed=i) for i, shape in enumerate(shapes.values())]
    with definitions_only():
        y, pullback = ops.norm_silu_conv(*args, groups=4)
        dy = normal(*y.shape, seed=99)
        expected = pullback(dy)
    placed = [strict.xp.repeat(a, 2, axis=-1)[..., ::2] for a in on_device([*args, dy])]
    for algorithm in ("winograd", "shifted"):
        with using(convolution=algorithm):
            found, pullback = kernel("norm_silu_conv")(*placed[:-1], groups=4)
            cotangents = pullback(placed[-1])
        np.testing.assert_allclose(found.get(), y, atol=1e-12)
        for a, b in zip(cotangents, expected, strict=True):
            np.testing.assert_allclose(a.get(), b, atol=1e-11)


def test_frozen_weights_are_converted_once(emulator, kernel):
    x, w = on_device([normal(2, 6, 6, 16), normal(3, 3, 16, 16)])
    with frozen_weights():
        kernel("conv")(x, w)
        kernel("conv")(x, w)
    assert emulator.log.count("winograd_weights") == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_emulator_detects_wrong_writes_and_barriers(emulator, dtype, tmp_path):
    """A kernel that writes outside its array, and one whose threads do not all reach a barrier."""
    from dataclasses import replace

    from npdiff.kernels.cuda.program import Program

    class Bad(Program):
        def text(self):
            return super().text() + (
                'extern "C" __global__ void outside(REAL* x, int n) { x[n + threadIdx.x] = 1; }\n'
                'extern "C" __global__ void part(REAL* x, int n)'
                " { if (threadIdx.x < 3) __syncthreads(); x[0] = 1; }\n"
            )

    program = replace(Bad("rows", np.dtype(dtype).name))
    x = strict.xp.zeros(8, dtype=dtype)
    with pytest.raises(AssertionError, match="writes outside"):
        emulator.launch(program, "outside", (1, 1), 4, x, 5)
    with pytest.raises(AssertionError, match="not all threads"):
        emulator.launch(program, "part", (1, 1), 4, x, 5)
