"""Findings on a schedule that is given as functions of time."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.verify.report import Finding

Function = Callable[[Any], Any]

#: Weights of the sixth-order central difference.
_STENCIL = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
#: The rounding error of log-SNR that is allowed near the data; float32 exceeds it.
_DIGITS = 1e-8
_PRECISION_HINT = "float32, or 1 - alpha^2 where it cancels: use expm1(2 log alpha)"


def log_snr_of(given: dict[str, Function], t: Any) -> np.ndarray:
    """log-SNR from alpha and sigma."""
    with np.errstate(divide="ignore"):
        alpha, sigma = (np.asarray(given[k](t), dtype=np.float64) for k in ("alpha", "sigma"))
        return 2.0 * (np.log(alpha) - np.log(sigma))


def relative_deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest deviation of an element, relative to its expected value."""
    scale = np.where(expected == 0.0, 1.0, np.abs(expected))
    error = float((np.abs(found - expected) / scale).max())
    return error if np.isfinite(error) else np.inf


def levels(
    given: dict[str, Function],
    values: dict[str, np.ndarray],
    timesteps: np.ndarray,
    span: tuple[float, float],
    clean: float,
    noisy: float,
    variance_preserving: bool,
) -> list[Finding]:
    """Monotonicity, both ends, and functions that follow from alpha and sigma."""
    finite = sum(int((~np.isfinite(v)).sum()) for v in values.values())
    log_snr = log_snr_of(given, timesteps)
    rises = int((np.diff(log_snr) >= 0.0).sum())
    backwards = rises == timesteps.size - 1
    ends = np.array(span)
    alpha, sigma = (np.asarray(given[k](ends), dtype=np.float64) for k in ("alpha", "sigma"))
    with np.errstate(divide="ignore"):
        noise, signal = float(sigma[0] / alpha[0]), float(alpha[1] / sigma[1])
    found = [
        Finding("all functions are finite within the span", float(finite), 0.0),
        Finding(
            "log-SNR falls", float(rises), 0.0,
            "time runs from noise to data: give functions of 1 - t" if backwards else "",
        ),
        Finding("at the first time sigma / alpha is small", noise, clean),
        Finding(
            "at the last time alpha / sigma is small", signal, noisy,
            "signal is left where sampling starts from pure noise",
        ),
    ]  # fmt: skip
    if variance_preserving:
        sum_ = values["alpha"] ** 2 + values["sigma"] ** 2
        found.append(Finding("alpha^2 + sigma^2 is 1", float(np.abs(sum_ - 1.0).max()), 1e-12))
    for name, right in (
        ("log_alpha", np.log(values["alpha"])),
        ("log_sigma", np.log(values["sigma"])),
        ("log_snr", log_snr),
    ):
        if name in values:
            residual = float(np.abs(values[name] - right).max())
            found.append(Finding(f"{name} is that of alpha and sigma", residual, 1e-9))
    return found


def digits(given: dict[str, Function], span: tuple[float, float]) -> list[Finding]:
    """Rounding near the data: third differences of log-SNR over a very short interval."""
    start = max(span[0], 1e-3 * span[1]) * 1.01
    t = start * (1.0 + 1e-5 * np.arange(24))
    stated = given["log_snr"](t) if "log_snr" in given else log_snr_of(given, t)
    log_snr = np.asarray(stated, dtype=np.float64)
    noise = float(np.sqrt(np.mean(np.diff(log_snr, 3) ** 2) / 20.0))
    name = f"log-SNR loses no digits near the data (t = {start:.3g})"
    return [Finding(name, noise if np.isfinite(noise) else np.inf, _DIGITS, _PRECISION_HINT)]


def derivatives(
    given: dict[str, Function],
    values: dict[str, np.ndarray],
    timesteps: np.ndarray,
    span: tuple[float, float],
    steps: int | None,
    tolerance: float,
) -> list[Finding]:
    """Compare each derivative with differences."""
    room = np.minimum(timesteps - span[0], span[1] - timesteps)
    if steps is not None:  # within a step: a discrete schedule has a corner at each integer time
        room = np.minimum(timesteps - np.floor(timesteps), np.ceil(timesteps) - timesteps)

    def slopes(f: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """A wide and a narrow difference; the narrow one does not reach a corner nearby."""
        return np.stack([
            sum(c * (f(timesteps + k * h) - f(timesteps - k * h)) for k, c in _STENCIL) / h
            for h in (0.01 * room, 0.0006 * room)
        ])  # fmt: skip

    def function(name: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda t: np.asarray(given[name](t), dtype=np.float64)

    def log(name: str) -> Callable[[np.ndarray], np.ndarray]:
        exact = given.get(f"log_{name}")
        return function(f"log_{name}") if exact else lambda t: np.log(function(name)(t))

    log_alpha_slope = slopes(log("alpha"))
    squared_g = 2.0 * values["sigma"] ** 2 * (slopes(log("sigma")) - log_alpha_slope)
    right = {
        "alpha_dot": (slopes(function("alpha")), "is the derivative of alpha"),
        "sigma_dot": (slopes(function("sigma")), "is the derivative of sigma"),
        "log_alpha_dot": (log_alpha_slope, "is the derivative of log alpha"),
        "log_sigma_dot": (slopes(log("sigma")), "is the derivative of log sigma"),
        "drift": (log_alpha_slope, "f is the derivative of log alpha"),
        "diffusion": (squared_g, "is g^2 = d sigma^2 / dt - 2 f sigma^2"),
    }
    found = []
    for name, (slope, property_) in right.items():
        if name in values:
            truth = np.where(np.abs(slope) < 1e-9 * np.abs(slope).max(), 0.0, slope)
            scale = np.where(truth == 0.0, 1.0, np.abs(truth))
            error = float((np.abs(values[name] - truth) / scale).min(axis=0).max())
            residual = error if np.isfinite(error) else np.inf
            found.append(
                Finding(f"{name} {property_}", residual, tolerance, _DERIVATIVE_HINTS.get(name, ""))
            )
    return found


_DERIVATIVE_HINTS = {
    "drift": "f is -beta(t) / 2, not -beta(t); or time has another unit",
    "diffusion": "g instead of g^2, a factor 2, or beta(t) of another schedule",
}
