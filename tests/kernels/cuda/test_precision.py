"""TF32 and half precision: errors within the bounds of their rounding."""

import shutil
import subprocess

import numpy as np
import pytest

from npdiff import nn, ops, tree
from npdiff.acceleration import definitions_only
from npdiff.kernels.cuda.conv import conv
from npdiff.kernels.cuda.program import Program
from npdiff.kernels.cuda.settings import using
from npdiff.pullback import forward_only
from npdiff.verify import strict

UNIT = 2.0**-11  # the relative error of rounding to ten fraction bits


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def convolved(x, w, precision):
    with using(precision=precision):
        return conv(strict.xp.asarray(x), strict.xp.asarray(w))


@pytest.mark.parametrize("scale", [1.0, 1e-3, 300.0])
@pytest.mark.parametrize("precision", ["tf32", "float16"])
def test_the_error_of_a_convolution_is_that_of_rounded_factors(emulator, precision, scale):
    """|y - y_exact| <= (2 u + u^2) sum |x| |w|, plus the rounding of float32 sums."""
    x, w = scale * normal(2, 7, 6, 24), normal(3, 3, 24, 8, seed=1) / 15
    y, _ = convolved(x, w, precision)
    with definitions_only():
        exact, _ = ops.conv(x.astype(np.float64), w.astype(np.float64))
        weight, _ = ops.conv(np.abs(x).astype(np.float64), np.abs(w).astype(np.float64))
    relative_error = np.abs(y.get() - exact) / weight
    # Half precision has spacing 2^-24 below 2^-14: small factors are rounded to that.
    small = 2.0**-25 * 9 * 24 * (np.abs(w).max() + np.abs(x).max()) * (precision == "float16")
    assert (np.abs(y.get() - exact) <= (2 * UNIT + UNIT**2 + 2e-6) * weight + small).all()
    assert relative_error.max() > 1e-5  # it did round
    assert {line for line in emulator.log if "multiply" in line} == {
        {"tf32": "multiply float32 tf32", "float16": "multiply float16"}[precision]
    }


def test_half_precision_applies_only_to_values(emulator):
    """Pullbacks are in float32, with the original arrays."""
    x, w, dy = normal(2, 5, 6, 16), normal(3, 3, 16, 8, seed=1), normal(2, 5, 6, 8, seed=2)
    with definitions_only():
        expected = ops.conv(x, w)[1](dy)
    found = convolved(x, w, "float16")[1](strict.xp.asarray(dy))
    for a, b in zip(found[:2], expected[:2], strict=True):
        assert np.abs(a.get() - b).max() <= 3e-6 * np.abs(b).max()


def test_inputs_beyond_the_range_of_half_are_clipped(emulator):
    x, w = np.full((1, 3, 3, 16), 1e6, np.float32), np.zeros((3, 3, 16, 2), np.float32)
    w[1, 1, 0] = 1e6, -1e6
    y, _ = convolved(x, w, "float16")
    np.testing.assert_array_equal(y.get()[0, 1, 1], [65504.0**2, -(65504.0**2)])
    x[0, 1, 1, 3] = np.nan  # NaN stays NaN
    assert np.isnan(convolved(x, w, "float16")[0].get()[0, 1, 1]).all()


def test_float64_is_never_rounded(emulator):
    x, w = normal(2, 5, 6, 16).astype(np.float64), normal(3, 3, 16, 8).astype(np.float64)
    with using(convolution="shifted", precision="float16"):
        y, _ = conv(*map(strict.xp.asarray, (x, w)))
    with definitions_only():
        expected, _ = ops.conv(x, w)
    np.testing.assert_allclose(y.get(), expected, atol=1e-13)


@pytest.mark.parametrize(("precision", "bound"), [("float32", 3e-5), ("tf32", 3e-3),
                                                  ("float16", 3e-3)])  # fmt: skip
def test_the_error_of_a_network_in_every_precision(emulator, precision, bound):
    """A whole U-Net amplifies the rounding of factors to a few units at most."""
    rng = np.random.default_rng(3)
    fresh = nn.UNet.init(1, width=16, blocks=1, heads=2)
    network = tree.map(lambda a: a + 0.05 * rng.standard_normal(a.shape).astype(np.float32), fresh)
    x, timestep = normal(2, 8, 8, 1), np.float32([3.0, 700.0])
    with forward_only():
        with definitions_only():
            expected, _ = network(x, timestep)
        place = strict.xp.asarray
        with using(precision=precision):
            y, _ = tree.map(place, network)(place(x), place(timestep))
    assert np.linalg.norm(y.get() - expected) <= bound * np.linalg.norm(expected)


PROGRAMS = [
    Program(file, real, outputs=outputs)
    for real in ("float32", "float64")
    for file, outputs in (
        ("norm", None), ("rows", None), ("pad", None), ("training", None), ("winograd", 2),
        ("winograd", 4),
    )
] + [Program("pad", "float32", "float16")]  # fmt: skip


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler")
def test_cuda_s_compiler_accepts_every_program(tmp_path):
    """If it is installed, which needs no GPU: it generates code and spills no register."""
    for i, program in enumerate(PROGRAMS):
        source = tmp_path / f"program{i}.cu"
        source.write_text(program.text())
        command = ["nvcc", "-std=c++17", "-arch=sm_90", "-Xptxas", "-v", "-cubin"]
        built = subprocess.run(
            [*command, "-o", str(tmp_path / "out.cubin"), str(source)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert built.returncode == 0, built.stderr
        assert "0 bytes spill stores" in built.stderr
