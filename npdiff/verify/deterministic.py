"""What is found of a deterministic sampler: how it asks, where short walks end, its order."""

import math
from collections.abc import Sequence

import numpy as np

from npdiff.verify.convergence import TOLERANCE
from npdiff.verify.moments import short_of
from npdiff.verify.problem import Record, Sampler, Trial
from npdiff.verify.report import Finding, deviation


def conduct(run: Sampler, trial: Trial, end: float) -> tuple[list[Finding], list[str]]:
    """What a sampler asks its denoiser, what it does to its argument, whether samples meet."""
    timesteps = trial.grid(trial.start, end, 12)
    x = float(trial.schedule.sigma(trial.start)) * trial.points
    record = Record()
    there = trial.run(run, x, timesteps, record)
    back = trial.run(run, x[::-1], timesteps)
    asked = np.array(record.timesteps or [math.nan])
    slack = 1e-6 * timesteps[0]
    outside = int(((asked > timesteps[0] + slack) | (asked < end - slack)).sum())
    first = abs(asked[0] - timesteps[0]) / timesteps[0]
    state = deviation(record.first, x) if record.first is not None else math.inf
    several = f"{len(record.timesteps) // 2} questions in 12 steps"
    found = [
        Finding("the answer is finite", float((~np.isfinite(there)).sum()), 0.0),
        Finding("x itself is not written to", float(record.written), 0.0),
        Finding(
            "the denoiser is first asked about x", max(first, state), 1e-6,
            "at another time or another x: an index off by one, a wrong time or scale",
        ),
        Finding(
            "it is asked at one time, within the grid", float(outside + record.several), 0.0,
            "a time off by one, or the position in the batch in the place of the time",
        ),
        Finding(
            "samples do not see each other", deviation(back[::-1], there), rounding(there),
            "the answer for a sample depends on its place in the batch",
        ),
    ]  # fmt: skip
    return found, [several]


def rounding(x: np.ndarray) -> float:
    """What rounding may do to an answer of many steps."""
    return 1e4 * float(np.finfo(x.dtype).eps)


def short_walk(run: Sampler, trial: Trial) -> Finding:
    """The slope of the error of two steps, the first twice the second, as both shrink."""
    errors = []
    middle = float(trial.schedule.time_at(0.0))
    x = trial.flow(float(trial.schedule.sigma(trial.start)) * trial.points, trial.start, middle)
    for length in (0.2, 0.1):
        timesteps = trial.schedule.time_at(np.array([0.0, 0.7, 1.0]) * length)
        timesteps[0] = middle
        there = trial.run(run, x, timesteps)
        errors.append(deviation(there, trial.flow(x, float(timesteps[0]), float(timesteps[2]))))
    slope = _slope((1, 2), errors, 0.0)
    return Finding(
        f"two short unequal steps have an error of order {slope:z.2f}, at least 2",
        short_of(2.0, slope), TOLERANCE,
        "a step too few, too many or of the wrong length; a sign, a scale",
    )  # fmt: skip


def errors_at(
    run: Sampler, trial: Trial, end: float, counts: Sequence[int]
) -> tuple[list[float], float]:
    """The largest global error at each number of steps, and where rounding sets in."""
    x = float(trial.schedule.sigma(trial.start)) * trial.points
    truth = trial.flow(x, trial.start, end)
    errors, floor = [], 0.0
    for count in counts:
        there = trial.run(run, x, trial.grid(trial.start, end, count))
        errors.append(float(np.abs(there - truth).max()))
        floor = 50.0 * float(np.finfo(there.dtype).eps)
    return errors, floor


def _slope(counts: Sequence[int], errors: Sequence[float], floor: float) -> float:
    """The slope at the last pair above the floor, or NaN."""
    pairs = [k for k in range(1, len(errors)) if errors[k] > floor or k == 1]
    before, after = errors[pairs[-1] - 1], errors[pairs[-1]]
    if not (math.isfinite(before) and math.isfinite(after)):
        return math.nan
    if after <= floor:
        return math.inf
    return math.log(before / after) / math.log(counts[pairs[-1]] / counts[pairs[-1] - 1])


def converges(
    counts: Sequence[int], errors: Sequence[float], floor: float, order: float | None
) -> Finding:
    if order is None:
        return Finding(f"the error at {counts[-1]} steps", errors[-1], 1e-3)
    slope = _slope(counts, errors, floor)
    return Finding(
        f"the error falls with order {slope:z.2f}, at least {order:g}",
        short_of(order, slope), TOLERANCE,
        "at order 0 it solves another equation: a sign, a scale, a time; where the order is only "
        "too low, look at a stage or at a term of history",
    )  # fmt: skip
