"""Findings on a deterministic sampler: its denoiser calls, two short steps, its order."""

import math
from collections.abc import Sequence

import numpy as np

from npdiff.verify.convergence import TOLERANCE
from npdiff.verify.moments import order_deficit
from npdiff.verify.problem import CallRecord, Sampler, TestProblem
from npdiff.verify.report import Finding, deviation


def call_contract(
    run: Sampler, problem: TestProblem, end: float
) -> tuple[list[Finding], list[str]]:
    """Check the denoiser calls, that x is not modified, and that samples are independent."""
    timesteps = problem.timesteps(problem.start, end, 12)
    x = float(problem.schedule.sigma(problem.start)) * problem.points
    record = CallRecord()
    found = problem.run(run, x, timesteps, record)
    reversed_batch = problem.run(run, x[::-1], timesteps)
    called_at = np.array(record.timesteps or [math.nan])
    slack = 1e-6 * timesteps[0]
    outside = int(((called_at > timesteps[0] + slack) | (called_at < end - slack)).sum())
    first = abs(called_at[0] - timesteps[0]) / timesteps[0]
    state = deviation(record.first, x) if record.first is not None else math.inf
    evaluations = f"{len(record.timesteps) // 2} function evaluations in 12 steps"
    findings = [
        Finding("the result is finite", float((~np.isfinite(found)).sum()), 0.0),
        Finding("x is not modified", float(record.modified), 0.0),
        Finding(
            "the first call of the denoiser is at the given x", max(first, state), 1e-6,
            "another time or another x: an index off by one, a wrong time or scale",
        ),
        Finding(
            "each call is at one time, within the timesteps",
            float(outside + record.mixed_times), 0.0,
            "a time off by one, or the position in the batch instead of the time",
        ),
        Finding(
            "samples are independent of each other", deviation(reversed_batch[::-1], found),
            rounding_tolerance(found), "the result for a sample depends on its place in the batch",
        ),
    ]  # fmt: skip
    return findings, [evaluations]


def rounding_tolerance(x: np.ndarray) -> float:
    """The deviation that rounding may cause in many steps."""
    return 1e4 * float(np.finfo(x.dtype).eps)


def two_short_steps(run: Sampler, problem: TestProblem) -> Finding:
    """The order of the error of two unequal steps as both shrink."""
    errors = []
    middle = float(problem.schedule.time_at(0.0))
    noise = float(problem.schedule.sigma(problem.start)) * problem.points
    x = problem.flow(noise, problem.start, middle)
    for length in (0.2, 0.1):
        timesteps = problem.schedule.time_at(np.array([0.0, 0.7, 1.0]) * length)
        timesteps[0] = middle
        found = problem.run(run, x, timesteps)
        expected = problem.flow(x, float(timesteps[0]), float(timesteps[2]))
        errors.append(deviation(found, expected))
    order = _order((1, 2), errors, 0.0)
    return Finding(
        f"two short unequal steps have an error of order {order:z.2f}, expected at least 2",
        order_deficit(2.0, order), TOLERANCE,
        "a step too few, too many or of the wrong length; a sign, a scale",
    )  # fmt: skip


def errors_at(
    run: Sampler, problem: TestProblem, end: float, counts: Sequence[int]
) -> tuple[list[float], float]:
    """The largest global error at each number of steps, and the size of its rounding error."""
    x = float(problem.schedule.sigma(problem.start)) * problem.points
    truth = problem.flow(x, problem.start, end)
    errors, floor = [], 0.0
    for count in counts:
        found = problem.run(run, x, problem.timesteps(problem.start, end, count))
        errors.append(float(np.abs(found - truth).max()))
        floor = 50.0 * float(np.finfo(found.dtype).eps)
    return errors, floor


def _order(counts: Sequence[int], errors: Sequence[float], floor: float) -> float:
    """The observed order at the last pair of errors above the floor, or NaN."""
    pairs = [k for k in range(1, len(errors)) if errors[k] > floor or k == 1]
    before, after = errors[pairs[-1] - 1], errors[pairs[-1]]
    if not (math.isfinite(before) and math.isfinite(after)):
        return math.nan
    if after <= floor:
        return math.inf
    return math.log(before / after) / math.log(counts[pairs[-1]] / counts[pairs[-1] - 1])


def order_finding(
    counts: Sequence[int], errors: Sequence[float], floor: float, order: float | None
) -> Finding:
    """Compare the observed order with the claimed one."""
    if order is None:
        return Finding(f"the error at {counts[-1]} steps", errors[-1], 1e-3)
    observed = _order(counts, errors, floor)
    return Finding(
        f"the error falls with order {observed:z.2f}, expected at least {order:g}",
        order_deficit(order, observed), TOLERANCE,
        "at order 0 it solves another equation: a sign, a scale, a time; if the order is only "
        "too low, look at a stage or at a multistep term",
    )  # fmt: skip
