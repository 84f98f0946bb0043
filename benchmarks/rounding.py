"""Rounding errors of fast formulas in float32: Winograd's convolution and a group's variance.

    python -m benchmarks.rounding
    python -m benchmarks.rounding --plot docs/images/kernels-rounding.png

Errors are differences to the definition in float64 for the same inputs: root mean square of the
error divided by that of the result, and for the outputs also the largest error. Inputs are standard
normal, weights have variance 1 / (9 C), so that outputs are of order 1. Takes a few seconds.
"""

import argparse
from collections.abc import Callable

import numpy as np

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.kernels.cook_toom import matrices, tiles
from npdiff.kernels.norm import statistics

#: Number of output pixels: a multiple of the pixels in tiles of 2 x 2, 4 x 4 and 6 x 6.
PIXELS = 2304
#: The points of F(4, 3) in the literature.
CUSTOMARY = (0, 1, -1, 2, -2)

ALGORITHMS = {
    "direct": (4, None),
    "F(2, 3)": (2, None),
    "F(4, 3)": (4, None),
    "F(4, 3), points 2 and -2": (4, CUSTOMARY),
    "F(6, 3)": (6, None),
}


def relative_error(found: np.ndarray, right: np.ndarray) -> float:
    """The root mean square of the error divided by that of the result."""
    return float(np.sqrt(np.mean((found - right) ** 2) / np.mean(right**2)))


def convolution(name: str, channels: int, seed: int = 0) -> dict[str, float]:
    """The errors of one algorithm's output and of its two cotangents."""
    m, points = ALGORITHMS[name]
    rng, count = np.random.default_rng(seed), PIXELS // m**2
    x = rng.standard_normal((count, m + 2, m + 2, channels), np.float32)
    w = rng.standard_normal((3, 3, channels, channels), np.float32) / (3 * channels**0.5)
    dy = rng.standard_normal((count, m, m, channels), np.float32)
    with definitions_only():
        right, right_pullback = ops.conv(x.astype(np.float64), w.astype(np.float64), padding=0)
        if name == "direct":
            found, pullback = ops.conv(x, w, padding=0)
        else:
            found, pullback = tiles(x, w, matrices(m, 3, points))
        (dx, dw), (right_dx, right_dw) = pullback(dy)[:2], right_pullback(dy.astype(float))[:2]
    assert found.dtype == dx.dtype == dw.dtype == np.float32
    return {
        "y": relative_error(found, right),
        "y max": float(np.abs(found - right).max()),
        "dx": relative_error(dx, right_dx),
        "dw": relative_error(dw, right_dw),
    }


def moments(x: np.ndarray) -> np.ndarray:
    """The mean of the squares minus the square of the mean."""
    return np.mean(x * x, axis=1) - np.mean(x, axis=1) ** 2


def kernel(x: np.ndarray) -> np.ndarray:
    """The kernel's formula: like :func:`moments`, but with differences if the mean is large."""
    return statistics(x[:, :, None, None], groups=1, eps=0.0)[1][:, 0] ** -2


def twice(x: np.ndarray) -> np.ndarray:
    """The mean square of the differences to the mean: two passes."""
    return np.mean((x - np.mean(x, axis=1, keepdims=True)) ** 2, axis=1)


VARIANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean of squares minus square of mean": moments,
    "two passes": twice,
    "the kernel": kernel,
}


def variance(formula: str, ratio: float, seed: int = 0) -> float:
    """The relative error (root mean square over groups) at a ratio of mean to deviation."""
    x = np.random.default_rng(seed).standard_normal((256, 2048)).astype(np.float32)
    x = (x + np.float32(ratio)).astype(np.float32)
    right = np.var(x.astype(np.float64), axis=1)
    found = VARIANCES[formula](x)
    assert found.dtype == np.float32
    return float(np.sqrt(np.mean((found / right - 1.0) ** 2)))


def plot(
    path: str, errors: dict, variances: dict, channels: list[int], ratios: list[float]
) -> None:
    """Two panels: outputs against channels, variances against the ratio of mean to deviation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
    for name in ALGORITHMS:
        values = [errors[name, C]["y"] for C in channels]
        style = "--" if "points" in name else "-"
        left.loglog(channels, values, style, marker="o", label=name)
    left.set(xlabel="channels", ylabel="relative error of the outputs", title="Convolution")
    left.set_xticks(channels, [str(C) for C in channels])
    left.minorticks_off()
    left.set_ylim(1e-7, 3e-5)
    for formula in VARIANCES:
        values = [variances[formula, ratio] for ratio in ratios]
        right.loglog(ratios, values, marker="o", label=formula)
    right.set(xlabel="mean / standard deviation", title="Variance of 2048 elements")
    right.set_ylabel("relative error")
    for panel in (left, right):
        panel.legend(fontsize=7)
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rounding",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 64, 256], metavar="C")
    parser.add_argument("--plot", metavar="FILE", help="draw the figure as well")
    options = parser.parse_args()
    ratios = [1.0, 10.0, 100.0, 1000.0, 10000.0]

    errors = {(k, C): convolution(k, C) for k in ALGORITHMS for C in options.channels}
    print(f"{'algorithm':26} {'C':>4} {'products':>8} {'y':>9} {'y max':>9} {'dx':>9} {'dw':>9}")
    for (name, C), found in errors.items():
        m = ALGORITHMS[name][0]
        products = 9.0 if name == "direct" else ((m + 2) / m) ** 2  # for each output
        columns = " ".join(f"{value:9.1e}" for value in found.values())
        print(f"{name:26} {C:4} {products:8.2f} {columns}")

    variances = {(f, ratio): variance(f, ratio) for f in VARIANCES for ratio in ratios}
    print(f"\n{'variance, mean/deviation':36}" + "".join(f"{ratio:>9g}" for ratio in ratios))
    for formula in VARIANCES:
        row = "".join(f"{variances[formula, ratio]:9.1e}" for ratio in ratios)
        print(f"{formula:36}{row}")
    if options.plot:
        plot(options.plot, errors, variances, options.channels, ratios)


if __name__ == "__main__":
    main()
