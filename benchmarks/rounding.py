"""What fast formulas cost in digits: Winograd's convolution and a group's variance, in float32.

    python -m benchmarks.rounding
    python -m benchmarks.rounding --plot docs/images/kernels-rounding.png

Errors are against the definition in float64 on the same numbers: the root of the mean square of
the error over that of the result, and for the outputs also the largest error. Inputs are standard
normal, weights have variance 1 / (9 C), so that outputs are of order 1. Takes a few seconds.
"""

import argparse
from collections.abc import Callable

import numpy as np

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.kernels.cook_toom import matrices, tiles
from npdiff.kernels.norm import statistics

#: Output pixels, whatever the tile; tiles of 2, 4 and 6 pixels a side divide it.
PIXELS = 2304
#: The points of F(4, 3) in the literature.
CUSTOMARY = (0, 1, -1, 2, -2)

METHODS = {
    "direct": (4, None),
    "F(2, 3)": (2, None),
    "F(4, 3)": (4, None),
    "F(4, 3), points 2 and -2": (4, CUSTOMARY),
    "F(6, 3)": (6, None),
}


def apart(found: np.ndarray, right: np.ndarray) -> float:
    """The error's root mean square over the result's."""
    return float(np.sqrt(np.mean((found - right) ** 2) / np.mean(right**2)))


def convolution(choose_algorithm: str, channels: int, seed: int = 0) -> dict[str, float]:
    """The errors of one method's output and of its two cotangents."""
    m, points = METHODS[choose_algorithm]
    rng, count = np.random.default_rng(seed), PIXELS // m**2
    x = rng.standard_normal((count, m + 2, m + 2, channels), np.float32)
    w = rng.standard_normal((3, 3, channels, channels), np.float32) / (3 * channels**0.5)
    dy = rng.standard_normal((count, m, m, channels), np.float32)
    with definitions_only():
        right, right_pullback = ops.conv(x.astype(np.float64), w.astype(np.float64), padding=0)
        if choose_algorithm == "direct":
            found, pullback = ops.conv(x, w, padding=0)
        else:
            found, pullback = tiles(x, w, matrices(m, 3, points))
        (dx, dw), (right_dx, right_dw) = pullback(dy)[:2], right_pullback(dy.astype(float))[:2]
    assert found.dtype == dx.dtype == dw.dtype == np.float32
    return {
        "y": apart(found, right),
        "y max": float(np.abs(found - right).max()),
        "dx": apart(dx, right_dx),
        "dw": apart(dw, right_dw),
    }


def moments(x: np.ndarray) -> np.ndarray:
    """The mean of the squares less the square of the mean."""
    return np.mean(x * x, axis=1) - np.mean(x, axis=1) ** 2


def kernel(x: np.ndarray) -> np.ndarray:
    """What the kernel of group normalization does: differences first, where the mean is large."""
    return statistics(x[:, :, None, None], groups=1, eps=0.0)[1][:, 0] ** -2


def twice(x: np.ndarray) -> np.ndarray:
    """The mean square of what is left when the mean is taken away: two passes."""
    return np.mean((x - np.mean(x, axis=1, keepdims=True)) ** 2, axis=1)


VARIANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean of squares less square of mean": moments,
    "two passes": twice,
    "the kernel": kernel,
}


def variance(how: str, ratio: float, seed: int = 0) -> float:
    """The relative error (root mean square over groups) at a ratio of mean to deviation."""
    x = np.random.default_rng(seed).standard_normal((256, 2048)).astype(np.float32)
    x = (x + np.float32(ratio)).astype(np.float32)
    right = np.var(x.astype(np.float64), axis=1)
    found = VARIANCES[how](x)
    assert found.dtype == np.float32
    return float(np.sqrt(np.mean((found / right - 1.0) ** 2)))


def plot(path: str, errors: dict, spreads: dict, channels: list[int], ratios: list[float]) -> None:
    """Two panels: outputs against channels, variances against the ratio of mean to deviation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
    for choose_algorithm in METHODS:
        values = [errors[choose_algorithm, C]["y"] for C in channels]
        style = "--" if "points" in choose_algorithm else "-"
        left.loglog(channels, values, style, marker="o", label=choose_algorithm)
    left.set(xlabel="channels", ylabel="relative error of the outputs", title="Convolution")
    left.set_xticks(channels, [str(C) for C in channels])
    left.minorticks_off()
    left.set_ylim(1e-7, 3e-5)
    for how in VARIANCES:
        right.loglog(ratios, [spreads[how, ratio] for ratio in ratios], marker="o", label=how)
    right.set(xlabel="mean / standard deviation", title="Variance of 2048 numbers")
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

    errors = {(k, C): convolution(k, C) for k in METHODS for C in options.channels}
    print(
        f"{'choose_algorithm':26} {'C':>4} {'products':>8} {'y':>9} {'y max':>9} {'dx':>9} {'dw':>9}"
    )
    for (choose_algorithm, C), found in errors.items():
        m = METHODS[choose_algorithm][0]
        products = 9.0 if choose_algorithm == "direct" else ((m + 2) / m) ** 2  # for each output
        numbers = " ".join(f"{value:9.1e}" for value in found.values())
        print(f"{choose_algorithm:26} {C:4} {products:8.2f} {numbers}")

    spreads = {(how, ratio): variance(how, ratio) for how in VARIANCES for ratio in ratios}
    print(f"\n{'variance, mean/deviation':36}" + "".join(f"{ratio:>9g}" for ratio in ratios))
    for how in VARIANCES:
        print(f"{how:36}" + "".join(f"{spreads[how, ratio]:9.1e}" for ratio in ratios))
    if options.plot:
        plot(options.plot, errors, spreads, options.channels, ratios)


if __name__ == "__main__":
    main()
