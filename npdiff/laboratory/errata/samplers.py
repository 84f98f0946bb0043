"""Errata of ODE solvers and of the noise of samplers."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.laboratory.errata.record import MEASURED, QUOTED, READ, Occurrence, Residuals, erratum
from npdiff.laboratory.errata.times import point_denoiser
from npdiff.samplers import SAMPLERS, Noise, ddim
from npdiff.samplers.exponential import NOISE_PREDICTION, half_log_snr
from npdiff.samplers.singlestep import intermediate_times, singlestep_update
from npdiff.schedules import LinearVP, Times, linear_betas
from npdiff.verify.orders import DATA, TEST_PROBLEMS, TestProblem


@erratum(
    "third-order-multistep",
    title="The second difference of DPM-Solver++(3M) without its factor 2",
    occurrences=(
        Occurrence("dpm-solver, multistep_dpm_solver_third_update, and its copy in UniPC", READ),
        Occurrence("diffusers, DPMSolverMultistepScheduler and its inverse, EDMDPMSolver", READ),
        Occurrence("k-diffusion, sample_dpmpp_3m_sde", READ),
    ),
    wrong=r"D_2 = \frac{D_1^{(0)} - D_1^{(1)}}{r_0 + r_1}"
    r" \quad\text{for } h^2 \hat x_0''",
    right=r"D_2 = 2\, \frac{D_1^{(0)} - D_1^{(1)}}{r_0 + r_1}",
    labels=("dpmpp-3m", "divided-differences", "exponential-x0"),
    method="an estimate quadratic in half log-SNR, which a method of order 3 integrates exactly",
    tolerance=1e-10,
    impact="The update has order 2: from 96 to 192 steps the error falls by a factor of "
    "{fall_published:.1f}, and with the factor 2 by {fall:.1f}. The ratio of the two errors is "
    "{ratio_12:.2f} at 12 steps, {ratio_24:.2f} at 24, {ratio_48:.2f} at 48, {ratio_96:.1f} at 96 "
    "and {ratio_192:.1f} at 192. At the usual 24 steps or fewer the difference is negligible.",
)
def third_order_multistep() -> Residuals:
    """The divided difference of first differences is half the second derivative, and is multiplied
    by the coefficient of the second derivative."""
    schedule, half_log_snrs = LinearVP(), np.array([-0.9, -0.3, 0.2, 0.9])
    timesteps = schedule.time_at(2.0 * half_log_snrs)

    def quadratic(x: Array, t: Times) -> tuple[Array, Array]:
        x_0 = 0.0 * x + (0.5 * schedule.log_snr(t)) ** 2
        return x_0, (x - schedule.alpha(t) * x_0) / schedule.sigma(t)

    def off(legacy: bool) -> float:
        x, run = np.array([[0.3], [-1.1]]), SAMPLERS["dpmpp-multistep"]
        *_, before, last = run(quadratic, schedule, x, timesteps, order=3, legacy=legacy)
        ends = [math.exp(a) * (a * a - 2.0 * a + 2.0) for a in half_log_snrs[-2:].tolist()]
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
    return Residuals(off(True), off(False), figures)


@erratum(
    "third-order-ends-low",
    title="A third-order singlestep solver that ends with orders 2 and 1",
    occurrences=(
        Occurrence(
            "dpm-solver, singlestep with order 3 where the number of evaluations is a multiple of "
            "3 (DPM-Solver-fast)",
            MEASURED,
        ),
    ),
    wrong=r"K = 3m: \quad 3, \dots, 3, 2, 1",
    right=r"K = 3m: \quad 3, \dots, 3",
    labels=("dpm-solver-3", "observed-order"),
    method="the order of the global error between 96 and 192 evaluations, on a mixture with a "
    "known flow: 3 within the tolerance",
    tolerance=0.2,
    impact="A single step of order 1, as long as the others, reduces the order to {slope:.2f}. "
    "The error with 96 evaluations is {at_96:.1e}, with 95, which end with order 2, {at_95:.1e}, "
    "and with third-order steps only {all_96:.1e}. With 24 it is {at_24:.1e}, with 23 "
    "{at_23:.1e}, and with third-order steps only {all_24:.1e}.",
)
def third_order_ends_low() -> Residuals:
    """To use exactly K evaluations the solver ends with lower orders. The error of a step of order
    1 is quadratic in its length, and there is one such step for any number of steps."""
    problem = TEST_PROBLEMS["vp"]

    def error(orders: list[int]) -> float:
        return _singlestep_error(problem, orders)

    def fast(count: int) -> list[int]:
        if count % 3 == 0:
            return [3] * (count // 3 - 1) + [2, 1]
        return [3] * (count // 3) + [count % 3]

    found = {n: error(fast(n)) for n in (23, 24, 95, 96, 192)}
    whole = {n: problem.solve("dpm-solver", n // 3, {"order": 3})[0] for n in (24, 96, 192)}
    slope = math.log2(found[96] / found[192])
    figures = {
        "slope": slope,
        **{f"at_{n}": found[n] for n in (23, 24, 95, 96)},
        **{f"all_{n}": whole[n] for n in (24, 96)},
    }
    return Residuals(abs(slope - 3.0), abs(math.log2(whole[96] / whole[192]) - 3.0), figures)


def _singlestep_error(problem: TestProblem, orders: list[int]) -> float:
    """The error of steps of the given orders, of equal length in log-SNR."""
    schedule, x, denoise = problem.schedule, problem.x, DATA.denoiser(problem.schedule)
    timesteps = problem.grid(len(orders))
    half_log_snrs = half_log_snr(schedule, timesteps)
    between = intermediate_times(schedule, half_log_snrs, orders)
    steps = zip(pairwise(timesteps), pairwise(half_log_snrs), between, strict=True)
    for (t, s), (a, b), inner in steps:
        x_0, eps = denoise(x, t)
        x = singlestep_update(NOISE_PREDICTION, denoise, schedule, x_0, eps, inner, s, b - a)
    return float(np.abs(x - problem.truth).max())


@erratum(
    "second-stage-sigma",
    title="Heun's second slope divided by the first sigma",
    occurrences=(Occurrence("diffusers #1512, HeunDiscreteScheduler before that change", QUOTED),),
    wrong=r"d' = \frac{x' - D'}{\sigma_t}, \qquad D' = \frac{x'}{\sigma_t^2 + 1}"
    r" - \frac{\sigma_t}{\sqrt{\sigma_t^2 + 1}}\, v(x', \sigma_s)",
    right=r"d' = \frac{x' - D(x', \sigma_s)}{\sigma_s}",
    labels=("heun-step", "flow-in-sigma"),
    method="the known flow of a mixture, from sigma = 20 to 0.05 in 96 steps",
    tolerance=1e-3,
    impact="With a network that predicts v the error is {v:.3f} in the units of the data instead "
    "of {right:.1e}, and twice the steps divide it by {fall:.1f}: order 1 instead of 2. With a "
    "network that predicts the noise it is {eps:.1e}, right to {same:.0e}, because (x - (x - "
    "sigma eps)) / sigma is eps for any sigma. A test with such a network cannot detect the "
    "mistake.",
)
def second_stage_sigma() -> Residuals:
    """The second slope is taken at the end of the step, at the noise level there. The level of the
    beginning cancels if the network's output is the slope itself."""
    problem = TEST_PROBLEMS["ve"]
    exact = DATA.denoiser(problem.schedule)

    def solve(kind: str, steps: int) -> float:
        x = problem.x
        for t, s in pairwise(problem.grid(steps).tolist()):
            _, slope = exact(x, t)
            ahead = x + (s - t) * slope
            x_0, eps = exact(ahead, s)
            if kind == "v":  # the output at (ahead, s), interpreted at the level t
                v = (eps - s * x_0) / math.sqrt(s * s + 1.0)
                x_0 = ahead / (t * t + 1.0) - t / math.sqrt(t * t + 1.0) * v
            elif kind == "eps":
                x_0 = ahead - t * eps
            x = x + 0.5 * (s - t) * (slope + (ahead - x_0) / t)
        return float(np.abs(x - problem.truth).max())

    right = problem.solve("heun", 96, {})[0]
    with_v, with_eps = solve("v", 96), solve("eps", 96)
    figures = {
        "v": with_v,
        "fall": with_v / solve("v", 192),
        "right": right,
        "eps": with_eps,
        "same": abs(with_eps - right),
    }
    return Residuals(with_v, right, figures)


def _constant(z: float, x: np.ndarray) -> Noise:
    return lambda i: np.full(x.shape, z)


@erratum(
    "eta-of-the-variance",
    title="DDIM's eta as a factor of the variance",
    occurrences=(Occurrence("azula, sample.py: eta multiplies a variance", READ),),
    wrong=r"x_s = \alpha_s \hat x_0 + \sqrt{\sigma_s^2 - \eta\, \tilde\sigma^2}\, \hat\epsilon"
    r" + \sqrt{\eta}\, \tilde\sigma z",
    right=r"x_s = \alpha_s \hat x_0 + \sqrt{\sigma_s^2 - \eta^2 \tilde\sigma^2}\, \hat\epsilon"
    r" + \eta\, \tilde\sigma z",
    labels=("ddim-step",),
    method="the standard deviation of the added noise, compared with the paper's sigma(eta)",
    tolerance=1e-10,
    impact="Both preserve the marginals, and they agree at 0 and 1. In between the same value "
    "means another sampler: the paper's eta = 0.5 corresponds to {square:.2f}, and 0.5 adds "
    "{more:.2f} times the paper's noise. It is a convention, wrong only under the paper's name.",
)
def eta_of_the_variance() -> Residuals:
    """In the paper eta multiplies a standard deviation."""
    schedule, x = linear_betas(), np.array([[0.3, -1.0]])
    abar = np.concatenate([[1.0], np.cumprod(1.0 - schedule.betas[1:])])
    wrong = right = 0.0
    for t, s in ((900, 700), (300, 280), (20, 10)):
        ratio = (1.0 - abar[s]) / (1.0 - abar[t]) * (1.0 - abar[t] / abar[s])
        for eta in (0.25, 0.5, 0.8):
            paper = eta * math.sqrt(ratio)
            timesteps = np.array([t, s], dtype=float)
            ((no_noise,), (unit_noise,)) = (
                ddim(
                    point_denoiser(schedule), schedule, x, timesteps, eta=eta, noise=_constant(z, x)
                )
                for z in (0.0, 1.0)
            )
            found = float((unit_noise.x - no_noise.x)[0, 0])
            wrong = max(wrong, abs(math.sqrt(eta * ratio) / paper - 1.0))
            right = max(right, abs(found / paper - 1.0))
    return Residuals(wrong, right, {"square": 0.5**2, "more": math.sqrt(0.5) / 0.5})
