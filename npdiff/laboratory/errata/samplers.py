"""Errata of solvers and of what they add."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.laboratory.errata.record import MEASURED, READ, SAID, Finding, Place, erratum
from npdiff.laboratory.errata.times import perfect
from npdiff.laboratory.orders import TEST_PROBLEMS, ConvergenceProblem
from npdiff.samplers import SAMPLERS, Noise, ddim
from npdiff.samplers.exponential import NOISE_PREDICTION, half_log_snr
from npdiff.samplers.singlestep import intermediate_times, singlestep
from npdiff.schedules import LinearVP, Times, linear_betas
from npdiff.verify.convergence import DATA


@erratum(
    "third-order-multistep",
    title="The second difference of DPM-Solver++(3M), halved",
    places=(
        Place("dpm-solver, multistep_dpm_solver_third_update, and its copy in UniPC", READ),
        Place("diffusers, DPMSolverMultistepScheduler and its inverse, EDMDPMSolver", READ),
        Place("k-diffusion, sample_dpmpp_3m_sde", READ),
    ),
    wrong=r"D_2 = \frac{D_1^{(0)} - D_1^{(1)}}{r_0 + r_1}"
    r" \quad\text{where } h^2 \hat x_0'' \text{ belongs}",
    right=r"D_2 = 2\, \frac{D_1^{(0)} - D_1^{(1)}}{r_0 + r_1}",
    labels=("dpmpp-3m", "divided-differences", "exponential-x0"),
    route="an estimate that is a square in half log-SNR, which a rule of order 3 integrates "
    "exactly",
    tolerance=1e-10,
    matters="The update is of order 2: from 96 to 192 steps the error falls by "
    "{fall_published:.1f}, and with the factor by {fall:.1f}. The ratio of the two errors is "
    "{ratio_12:.2f} at 12 steps, {ratio_24:.2f} at 24, {ratio_48:.2f} at 48, {ratio_96:.1f} at 96 "
    "and {ratio_192:.1f} at 192. At the 24 steps and fewer that people take it makes no "
    "difference worth the name.",
)
def third_order_multistep() -> Finding:
    """The divided difference of first differences is half of the second derivative. It is
    multiplied by the coefficient of the whole one."""
    schedule, places = LinearVP(), np.array([-0.9, -0.3, 0.2, 0.9])
    timesteps = schedule.time_at(2.0 * places)

    def square(x: Array, t: Times) -> tuple[Array, Array]:
        x_0 = 0.0 * x + (0.5 * schedule.log_snr(t)) ** 2
        return x_0, (x - schedule.alpha(t) * x_0) / schedule.sigma(t)

    def off(legacy: bool) -> float:
        x, run = np.array([[0.3], [-1.1]]), SAMPLERS["dpmpp-multistep"]
        *_, before, last = run(square, schedule, x, timesteps, order=3, legacy=legacy)
        ends = [math.exp(a) * (a * a - 2.0 * a + 2.0) for a in places[-2:].tolist()]
        sigma = schedule.sigma(timesteps)
        exact = sigma[-1] * (before.x / sigma[-2] + ends[1] - ends[0])
        return float(np.abs(last.x - exact).max())

    counts = (12, 24, 48, 96, 192)
    errors = {
        legacy: [
            TEST_PROBLEMS["ve"].solve("dpmpp-multistep", n, {"order": 3, "legacy": legacy})[0]
            for n in counts
        ]
        for legacy in (True, False)
    }
    figures = {
        f"ratio_{n}": a / b for n, a, b in zip(counts, errors[True], errors[False], strict=True)
    }
    figures["fall_published"] = errors[True][3] / errors[True][4]
    figures["fall"] = errors[False][3] / errors[False][4]
    return Finding(off(True), off(False), figures)


@erratum(
    "third-order-ends-low",
    title="A third-order singlestep solver that ends with orders 2 and 1",
    places=(
        Place(
            "dpm-solver, singlestep with order 3 where the number of evaluations is a multiple of "
            "3 (DPM-Solver-fast)",
            MEASURED,
        ),
    ),
    wrong=r"K = 3m: \quad 3, \dots, 3, 2, 1",
    right=r"K = 3m: \quad 3, \dots, 3",
    labels=("dpm-solver-3", "observed-order"),
    route="the slope of the global error between 96 and 192 evaluations, on a mixture whose flow "
    "is known; off 3 by no more than the tolerance",
    tolerance=0.2,
    matters="One step of order 1, of the size of the others, makes the whole of order "
    "{slope:.2f}. The error at 96 evaluations is {at_96:.1e} and at 95, which end with order 2, "
    "{at_95:.1e}; with third-order steps alone 96 give {all_96:.1e}. At 24 it is {at_24:.1e}, "
    "{at_23:.1e} at 23, {all_24:.1e} with third-order steps alone.",
)
def third_order_ends_low() -> Finding:
    """To spend exactly K evaluations the solver fills up with lower orders. The error of a step of
    order 1 is of second order in its size, and there is one however many steps there are."""
    bed = TEST_PROBLEMS["vp"]

    def error(orders: list[int]) -> float:
        return _singlestep_error(bed, orders)

    def fast(count: int) -> list[int]:
        if count % 3 == 0:
            return [3] * (count // 3 - 1) + [2, 1]
        return [3] * (count // 3) + [count % 3]

    found = {n: error(fast(n)) for n in (23, 24, 95, 96, 192)}
    whole = {n: bed.solve("dpm-solver", n // 3, {"order": 3})[0] for n in (24, 96, 192)}
    slope = math.log2(found[96] / found[192])
    figures = {
        "slope": slope,
        **{f"at_{n}": found[n] for n in (23, 24, 95, 96)},
        **{f"all_{n}": whole[n] for n in (24, 96)},
    }
    return Finding(abs(slope - 3.0), abs(math.log2(whole[96] / whole[192]) - 3.0), figures)


def _singlestep_error(bed: ConvergenceProblem, orders: list[int]) -> float:
    """The error of one step of each order in turn, of equal length in log-SNR."""
    schedule, x, denoise = bed.schedule, bed.x, DATA.denoiser(bed.schedule)
    timesteps = bed.timesteps(len(orders))
    places = half_log_snr(schedule, timesteps)
    between = intermediate_times(schedule, places, orders)
    steps = zip(pairwise(timesteps), pairwise(places), between, strict=True)
    for (t, s), (a, b), inner in steps:
        x_0, eps = denoise(x, t)
        x = singlestep(NOISE_PREDICTION, denoise, schedule, x_0, eps, inner, s, b - a)
    return float(np.abs(x - bed.solution).max())


@erratum(
    "second-stage-sigma",
    title="Heun's second slope divided by the first sigma",
    places=(Place("diffusers #1512, HeunDiscreteScheduler before it", SAID),),
    wrong=r"d' = \frac{x' - D'}{\sigma_t}, \qquad D' = \frac{x'}{\sigma_t^2 + 1}"
    r" - \frac{\sigma_t}{\sqrt{\sigma_t^2 + 1}}\, v(x', \sigma_s)",
    right=r"d' = \frac{x' - D(x', \sigma_s)}{\sigma_s}",
    labels=("heun-step", "flow-in-sigma"),
    route="the known flow of a mixture, from sigma = 20 to 0.05 in 96 steps",
    tolerance=1e-3,
    matters="With a network that predicts v the error is {v:.3f} in the units of the data where "
    "it should be {right:.1e}, and twice the steps divide it by {fall:.1f}: of order 1 in the "
    "place of 2. With a network that predicts the noise it is {eps:.1e}, as it should be to "
    "{same:.0e}, for (x - (x - sigma eps)) / sigma is eps whatever sigma is. A test with such a "
    "network cannot see it.",
)
def second_stage_sigma() -> Finding:
    """The second slope is taken at the end of the step, with the noise level that is there. Using
    the level of the beginning cancels where the network's output is the slope itself."""
    bed = TEST_PROBLEMS["ve"]
    exact = DATA.denoiser(bed.schedule)

    def solve(kind: str, steps: int) -> float:
        x = bed.x
        for t, s in pairwise(bed.timesteps(steps).tolist()):
            _, slope = exact(x, t)
            ahead = x + (s - t) * slope
            x_0, eps = exact(ahead, s)
            if kind == "v":  # what the network answers at (ahead, s), read with the level t
                v = (eps - s * x_0) / math.sqrt(s * s + 1.0)
                x_0 = ahead / (t * t + 1.0) - t / math.sqrt(t * t + 1.0) * v
            elif kind == "eps":
                x_0 = ahead - t * eps
            x = x + 0.5 * (s - t) * (slope + (ahead - x_0) / t)
        return float(np.abs(x - bed.solution).max())

    right = bed.solve("heun", 96, {})[0]
    with_v, with_eps = solve("v", 96), solve("eps", 96)
    figures = {
        "v": with_v,
        "fall": with_v / solve("v", 192),
        "right": right,
        "eps": with_eps,
        "same": abs(with_eps - right),
    }
    return Finding(with_v, right, figures)


def _constant(z: float, x: np.ndarray) -> Noise:
    return lambda i: np.full(x.shape, z)


@erratum(
    "eta-of-the-variance",
    title="DDIM's eta as a share of the variance",
    places=(Place("azula, sample.py: the share eta multiplies a variance", READ),),
    wrong=r"x_s = \alpha_s \hat x_0 + \sqrt{\sigma_s^2 - \eta\, \tilde\sigma^2}\, \hat\epsilon"
    r" + \sqrt{\eta}\, \tilde\sigma z",
    right=r"x_s = \alpha_s \hat x_0 + \sqrt{\sigma_s^2 - \eta^2 \tilde\sigma^2}\, \hat\epsilon"
    r" + \eta\, \tilde\sigma z",
    labels=("ddim-step",),
    route="the standard deviation of the fresh noise beside the paper's sigma(eta), in alpha-bar",
    tolerance=1e-10,
    matters="Both keep the marginals, and agree at 0 and 1. In between a number means another "
    "sampler: the paper's eta = 0.5 is {square:.2f} there, and its 0.5 adds {more:.2f} times the "
    "noise of the paper's. A difference of convention, wrong only where the paper's name is used.",
)
def eta_of_the_variance() -> Finding:
    """In the paper eta multiplies a standard deviation."""
    table, x = linear_betas(), np.array([[0.3, -1.0]])
    abar = np.concatenate([[1.0], np.cumprod(1.0 - table.betas[1:])])
    wrong = right = 0.0
    for t, s in ((900, 700), (300, 280), (20, 10)):
        ratio = (1.0 - abar[s]) / (1.0 - abar[t]) * (1.0 - abar[t] / abar[s])
        for eta in (0.25, 0.5, 0.8):
            paper = eta * math.sqrt(ratio)
            timesteps = np.array([t, s], dtype=float)
            ((still,), (moved,)) = (
                ddim(perfect(table), table, x, timesteps, eta=eta, noise=_constant(z, x))
                for z in (0.0, 1.0)
            )
            found = float((moved.x - still.x)[0, 0])
            wrong = max(wrong, abs(math.sqrt(eta * ratio) / paper - 1.0))
            right = max(right, abs(found / paper - 1.0))
    return Finding(wrong, right, {"square": 0.5**2, "more": math.sqrt(0.5) / 0.5})
