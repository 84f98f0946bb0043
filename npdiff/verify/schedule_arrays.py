"""Findings on a discrete schedule given as arrays, whose entry 0 is step 1 or the data."""

from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules import Schedule
from npdiff.verify.report import Finding, name_of


def discrete_findings(
    betas: Any,
    alpha_bar: Any,
    first: int | None,
    like: Schedule | None,
    clean: float,
    noisy: float,
    tolerance: float,
) -> tuple[list[Finding], list[str]]:
    """Findings on an array of betas, of alpha-bar, or both."""
    if first not in (0, 1):
        raise InputError(
            f"first must be 0 or 1, got {first!r}: 1 if entry 0 is the first noisy step, as in "
            "DDPM's programs; 0 if it is the data"
        )
    arrays = {
        k: np.asarray(v) for k, v in (("betas", betas), ("alpha_bar", alpha_bar)) if v is not None
    }
    for name, a in arrays.items():
        if a.ndim != 1 or a.size < 2 or a.dtype.kind != "f":
            raise InputError(
                f"{name} must be a 1-D array of two or more floats, "
                f"got shape {a.shape} of {a.dtype}"
            )
    if len({a.size for a in arrays.values()}) != 1:
        sizes = " and ".join(f"{a.size} {name}" for name, a in arrays.items())
        raise InputError(f"betas and alpha_bar must have the same length, got {sizes}")
    found: list[Finding] = []
    b = _beta(arrays.get("betas"), first, found)
    product = None if b is None else np.exp(np.cumsum(np.log1p(-b[b < 1.0])))
    if product is not None and (b is not None and product.size < b.size):
        product = np.append(product, np.zeros(b.size - product.size))  # a last beta of 1
    levels = product
    precise = arrays.get("betas")
    if alpha_bar is not None:
        given = arrays["alpha_bar"].astype(np.float64)
        if first == 0:
            found.append(
                Finding("entry 0 of alpha_bar is the data, 1", abs(given[0] - 1.0), 0.0, _FIRST)
            )
            given = given[1:]
        if product is not None:
            found.append(_is_product(given, product, tolerance))
        levels, precise = given, arrays["alpha_bar"]
    assert levels is not None
    assert precise is not None
    found += _levels(levels, clean, noisy)
    found.append(_digits(precise, levels, alpha_bar is not None, tolerance))
    if like is not None:
        found.append(_like(levels, like, tolerance))
    T = levels.size
    sigma, alpha = np.sqrt(np.maximum(0.0, [1.0 - levels[0], levels[-1]]))
    notes = [f"{T} steps; first sigma {sigma:.6g}, last alpha {alpha:.6g}"]
    return found, notes


_FIRST = "if it is the first noisy step, give first=1"


def _beta(betas: np.ndarray | None, first: int, found: list[Finding]) -> np.ndarray | None:
    """The betas of steps 1, ..., T, whose range is checked."""
    if betas is None:
        return None
    b = betas.astype(np.float64)
    if first == 0:
        found.append(
            Finding("entry 0 of betas is that of the data, 0", abs(float(b[0])), 0.0, _FIRST)
        )
        b = b[1:]
    outside = int((~((b > 0.0) & (b < 1.0)))[:-1].sum() + (not 0.0 < b[-1] <= 1.0))
    hint = "betas scaled by 1000 / T leave the range if T is small; only the last may be 1"
    found.append(Finding("each beta is between 0 and 1", float(outside), 0.0, hint))
    return np.clip(b, 0.0, 1.0)


def _is_product(given: np.ndarray, product: np.ndarray, tolerance: float) -> Finding:
    """Compare alpha-bar with the product, and with the product one step away."""
    hint = "another schedule, or float32"
    if np.allclose(given[1:], product[:-1], rtol=1e-6):
        hint = "it is one step late: entry i + 1 is the product up to i"
    elif np.allclose(given[:-1], product[1:], rtol=1e-6):
        hint = "it is one step early: entry i is the product up to i + 1"
    elif np.allclose(given**2, product, rtol=1e-6):
        hint = "it is the square root: alpha, not alpha-bar"
    error = float(np.abs(given - product).max())
    return Finding("alpha_bar is the product of 1 - beta", error, min(tolerance, 1e-9), hint)


def _levels(levels: np.ndarray, clean: float, noisy: float) -> list[Finding]:
    rises = int((np.diff(levels) >= 0.0).sum())
    outside = int((~((levels >= 0.0) & (levels < 1.0))).sum())
    signal, noise = (max(0.0, float(v)) for v in (levels[-1], 1.0 - levels[0]))
    return [
        Finding(
            "each noisy step has 0 <= alpha_bar < 1", float(outside), 0.0,
            "an entry of 1 is the data: give first=0; or digits are lost near 1",
        ),
        Finding("alpha_bar falls", float(rises), 0.0, "if it ascends, time runs the other way"),
        Finding(
            "at the first time sigma / alpha is small", (noise / max(1.0 - noise, 1e-300)) ** 0.5,
            clean, "the last step of a sampler must remove all this noise at once",
        ),
        Finding(
            "at the last time alpha / sigma is small", (signal / max(1.0 - signal, 1e-300)) ** 0.5,
            noisy, "signal is left there: betas made for T = 1000 and used for fewer steps?",
        ),
    ]  # fmt: skip


def _digits(given: np.ndarray, levels: np.ndarray, cancels: bool, tolerance: float) -> Finding:
    """The effect of rounding of the given array on the first log-SNR."""
    a = given.astype(np.float64)
    kind = np.float32 if np.array_equal(a.astype(np.float32).astype(np.float64), a) else np.float64
    eps = 0.5 * float(np.finfo(kind).eps)
    loss = eps / max(1.0 - float(levels[0]), 1e-300) if cancels else eps
    return Finding(
        f"log-SNR loses no digits at the first step ({np.dtype(kind).name})", min(loss, 1e300),
        tolerance, "1 - alpha_bar cancels: keep alpha_bar in float64, or work from betas",
    )  # fmt: skip


def _like(levels: np.ndarray, like: Schedule, tolerance: float) -> Finding:
    """Compare log-SNR with that of another schedule at the same fraction of the time."""
    T = levels.size
    if like.steps not in (None, T):
        name = f"it has the {like.steps} steps of {name_of(like)}"
        return Finding(name, float(abs(T - (like.steps or 0))), 0.0)

    def off(shift: int) -> float:
        index = np.arange(1, T + 1) + shift
        inside = (index >= 1) & (index <= T)
        t = np.minimum(index[inside] * (like.t_max / T), like.t_max)
        with np.errstate(divide="ignore", invalid="ignore"):
            here = np.log(levels[inside]) - np.log1p(-levels[inside])
            there = like.log_snr(t)
            gap = np.where(here == there, 0.0, np.abs(here - there))  # both may be -inf
        worst = float(gap.max())
        return worst if np.isfinite(worst) else np.inf

    error, hint = off(0), "other constants, or constants for another number of steps"
    for shift, words in ((1, "later"), (-1, "earlier")):
        if error > tolerance and off(shift) <= 1e-6:
            hint = f"each entry is that of one step {words}"
    return Finding(f"log-SNR is that of {name_of(like)}", error, max(tolerance, 1e-6), hint)
