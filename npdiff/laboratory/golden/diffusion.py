"""Golden values of schedules, Gaussian transitions, timestep spacings, weightings and guidance."""

from collections.abc import Callable, Iterator

import numpy as np

from npdiff import process
from npdiff.guidance import classifier_free, dynamic_threshold, rescale_cfg
from npdiff.laboratory.golden.problem import Problem, wave
from npdiff.objective import WEIGHTINGS, Weighting
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import (
    EDM,
    VE,
    Cosine,
    DiscreteSchedule,
    Laplace,
    LinearVP,
    RectifiedFlow,
    Schedule,
    SubVP,
    betas,
    discrete,
    linear_betas,
)
from npdiff.schedules.betas import (
    exponential_betas,
    scaled_linear_betas,
    sigmoid_alpha_bar_betas,
    sigmoid_betas,
)
from npdiff.spacings import SPACINGS

#: Discrete schedules by name: the object, its definitions, and its parameters.
DISCRETE: dict[
    str, tuple[DiscreteSchedule, tuple[Callable[..., object], ...], dict[str, object]]
] = {
    "linear": (linear_betas(), (linear_betas,), {"beta_1": 1e-4, "beta_T": 0.02}),
    "scaled-linear": (
        scaled_linear_betas(),
        (scaled_linear_betas,),
        {"beta_1": 0.00085, "beta_T": 0.012},
    ),
    "zero-snr": (
        discrete.zero_terminal_snr(scaled_linear_betas()),
        (discrete.zero_terminal_snr, scaled_linear_betas),
        {"beta_1": 0.00085, "beta_T": 0.012, "then": "zero_terminal_snr"},
    ),
    "cosine": (
        betas.cosine_betas(),
        (betas.cosine_betas, Cosine),
        {"s": 0.008, "largest": 0.999},
    ),
    "sigmoid": (
        sigmoid_alpha_bar_betas(),
        (sigmoid_alpha_bar_betas, betas.cosine_betas),
        {"start": -3, "end": 3, "tau": 1, "largest": 0.999},
    ),
    "sigmoid-betas": (
        sigmoid_betas(),
        (sigmoid_betas,),
        {"beta_1": 1e-4, "beta_T": 0.02, "r": 6},
    ),
    "exponential": (exponential_betas(), (exponential_betas,), {"rate": 12}),
}

#: Continuous schedules by name: the object, its parameters, some times.
CONTINUOUS: dict[str, tuple[Schedule, dict[str, object], tuple[float, ...]]] = {
    "vp": (LinearVP(), {"beta_min": 0.1, "beta_max": 20}, (0.001, 0.1, 0.5, 0.9, 1.0)),
    "sub-vp": (SubVP(), {"beta_min": 0.1, "beta_max": 20}, (0.001, 0.1, 0.5, 0.9, 1.0)),
    "ve": (VE(), {"sigma_min": 0.01, "sigma_max": 50}, (0.1, 0.5, 0.9, 1.0)),
    "edm": (EDM(), {"sigma_max": 80}, (0.002, 0.5, 3.0, 80.0)),
    "cosine-continuous": (Cosine(), {"s": 0.008, "end": 0.9946}, (0.001, 0.1, 0.5, 0.9, 1.0)),
    "rectified-flow": (RectifiedFlow(), {"k": 1}, (0.001, 0.1, 0.5, 0.9)),
    "shifted-flow": (RectifiedFlow(3.0), {"k": 3}, (0.001, 0.1, 0.5, 0.9)),
    "laplace": (Laplace(), {"mu": 0, "b": 0.5}, (0.001, 0.25, 0.5, 0.75, 0.999)),
}

_AT = (1, 2, 500, 999, 1000)


def schedules() -> Iterator[Problem]:
    """Discrete schedules of 1000 steps at five of them, continuous ones at a few times."""
    for name, (by_steps, definitions, given) in DISCRETE.items():
        t = np.array(_AT, dtype=np.float64)
        yield Problem(
            f"schedule/{name}",
            "The discrete schedule of T = 1000 steps of the first definition. At each t: beta_t, "
            "alpha-bar_t = alpha_t^2, log-SNR, and beta-tilde_t = (1 - alpha-bar_{t-1}) / "
            "(1 - alpha-bar_t) beta_t, the variance of q(x_{t-1} | x_t, x_0).",
            {"T": 1000, **given, "t": list(_AT)},
            {
                "beta": by_steps.betas[list(_AT)],
                "alpha_bar": by_steps.alpha_bar[list(_AT)],
                "log_snr": by_steps.log_snr(t),
                "beta_tilde": process.posterior_variance(by_steps, t - 1.0, t),
            },
            (*definitions, DiscreteSchedule),
        )
    for name, (schedule, given, at) in CONTINUOUS.items():
        t = np.array(at)
        yield Problem(
            f"schedule/{name}",
            "The schedule of the first definition. At each t: alpha, sigma, log-SNR, the drift f "
            "and the squared diffusion g^2 of the forward SDE dx = f x dt + g dw.",
            {**given, "t": list(at)},
            {
                "alpha": schedule.alpha(t),
                "sigma": schedule.sigma(t),
                "log_snr": schedule.log_snr(t),
                "f": schedule.drift(t),
                "g_squared": schedule.diffusion(t),
            },
            (type(schedule), Schedule.drift, Schedule.diffusion),
        )


def gaussians() -> Iterator[Problem]:
    """Marginal, transition and posterior for pairs of times; every prediction type."""
    x_0, eps = wave(1.0, (4,)), wave(5.0, (4,))
    for name, schedule, pairs in (
        ("linear", linear_betas(), ((1, 2), (99, 100), (250, 500), (999, 1000))),
        ("vp", LinearVP(), ((0.1, 0.2), (0.25, 0.7), (0.99, 1.0))),
    ):
        each = [_between(schedule, x_0, eps, s, t) for s, t in pairs]
        yield Problem(
            f"process/{name}",
            f"Under schedule/{name}, for each pair (s, t) of times: x_t = alpha_t x_0 + sigma_t "
            "eps; the factor and the variance of q(x_t | x_s); mean and variance of "
            "q(x_s | x_t, x_0). x_0 is wave(1, (4)) and eps is wave(5, (4)).",
            {"pairs": [list(pair) for pair in pairs], "x_0": x_0, "eps": eps},
            {key: np.stack([values[key] for values in each]) for key in each[0]},
            (
                process.marginal,
                process.transition,
                process.posterior_mean,
                process.posterior_variance,
            ),
        )
    schedule, t = LinearVP(), 0.3
    x_t = process.marginal(schedule, x_0[None], eps[None], t)
    yield Problem(
        "process/parameterization",
        "Under schedule/vp at t = 0.3, with x_0 = wave(1, (4)) and eps = wave(5, (4)): the target "
        "of each prediction type; for EDM's F the standard deviation of the data is 0.5. And "
        "x0_hat if the network's output at that x_t is wave(9, (4)).",
        {"t": t, "x_0": x_0, "eps": eps, "output": wave(9.0, (4,))},
        {
            **{
                f"target {k}": r.target(schedule, x_0[None], eps[None], t)[0]
                for k, r in PARAMETERIZATIONS.items()
            },
            **{
                f"x0_hat {k}": r.solve(schedule, x_t, wave(9.0, (1, 4)), t)[0][0]
                for k, r in PARAMETERIZATIONS.items()
            },
        },
        tuple(r.coefficients for k, r in PARAMETERIZATIONS.items() if k != "edm"),
    )


def _between(
    schedule: Schedule, x_0: np.ndarray, eps: np.ndarray, s: float, t: float
) -> dict[str, np.ndarray]:
    x_t = process.marginal(schedule, x_0[None], eps[None], t)
    factor, variance = process.transition(schedule, s, t)
    return {
        "x_t": x_t[0],
        "transition_factor": factor,
        "transition_variance": variance,
        "posterior_mean": process.posterior_mean(schedule, x_0[None], x_t, s, t)[0],
        "posterior_variance": process.posterior_variance(schedule, s, t),
    }


def spacings() -> Iterator[Problem]:
    """Every timestep spacing on a discrete and on a continuous schedule."""
    for name, schedule in (("linear", linear_betas()), ("vp", LinearVP())):
        for spacing, f in SPACINGS.items():
            if spacing == "leading" and schedule.steps is None:
                continue
            yield Problem(
                f"spacing/{spacing}/{name}",
                f"The N + 1 timesteps on schedule/{name}, where t_max is "
                f"{schedule.t_max:g} and t_min {schedule.t_min:g}.",
                {"N": [7, 10]},
                {f"N = {n}": f(schedule, n) for n in (7, 10)},
                (f,),
            )


def weights() -> Iterator[Problem]:
    """Every loss weighting that is a function of log-SNR."""
    levels = np.array([-6.0, -1.0, 0.0, 2.0, 7.0])
    functions: dict[str, Weighting] = {k: w for k, w in WEIGHTINGS.items() if callable(w)}
    yield Problem(
        "weights",
        "The weight of the squared error of eps at each log-SNR, for every weighting with its "
        "usual constants: min-SNR gamma = 5; soft min-SNR gamma = 4; P2 k = 1, gamma = 1; EDM "
        "sigma_data = 0.5. x0 and v are the unweighted errors of the data and of v (with "
        "alpha^2 + sigma^2 = 1), as weights of the error of eps.",
        {"log_snr": levels},
        {name: weighting(levels) for name, weighting in functions.items()},
        tuple(functions.values()),
    )


def guidance() -> Iterator[Problem]:
    """Classifier-free guidance, rescaling, dynamic thresholding."""
    schedule, t = LinearVP(), 0.4
    x = wave(3.0, (2, 6))
    data = {"cond": wave(7.0, (2, 6)), "uncond": 0.5 * wave(20.0, (2, 6))}

    def denoiser(name: str) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        def denoise(x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
            alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
            return data[name], (x - alpha * data[name]) / sigma

        return denoise

    cond, w = denoiser("cond"), 4.0
    guided = classifier_free(cond, denoiser("uncond"), w)
    yield Problem(
        "guidance",
        "Under schedule/vp at t = 0.4 and for x = wave(3, (2, 6)), two samples, the x0_hat of the "
        "conditional denoiser is wave(7, (2, 6)), that of the unconditional one half of "
        "wave(20, (2, 6)). With guidance w = 4, where w = 1 means none: eps_hat and x0_hat; "
        "x0_hat rescaled with phi = 0.7 by standard deviations of x0_hat; x0_hat after dynamic "
        "thresholding at the quantile 0.9 of the absolute values of each sample, interpolated "
        "linearly between order statistics: at position 0.9 (n - 1), counting from 0.",
        {"t": t, "w": w, "phi": 0.7, "quantile": 0.9},
        {
            "x0_hat": guided(x, t)[0],
            "eps_hat": guided(x, t)[1],
            "rescaled x0_hat": rescale_cfg(guided, cond, schedule, 0.7)(x, t)[0],
            "x0_hat after dynamic thresholding": dynamic_threshold(guided, schedule, 0.9)(x, t)[0],
        },
        (classifier_free, rescale_cfg, dynamic_threshold),
    )
