"""Errata of objectives and likelihoods."""

import math

import numpy as np

from npdiff.laboratory.errata.record import QUOTED, READ, Occurrence, Residuals, erratum
from npdiff.objective import Example, Objective, min_snr, weight
from npdiff.objective.bound import discrete_weight
from npdiff.objective.decoder import discretized_gaussian
from npdiff.objective.hybrid import bound_loss
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import LinearVP, linear_betas
from npdiff.variances import interpolated


@erratum(
    "tanh-for-the-normal-distribution",
    title="A tanh for the normal distribution function",
    occurrences=(
        Occurrence(
            "improved-diffusion and guided-diffusion, losses.py: approx_standard_normal_cdf", READ
        ),
    ),
    wrong=r"\Phi(z) \approx \tfrac12 \left( 1 + \tanh\!\big( \sqrt{2 / \pi}\,"
    r" (z + 0.044715\, z^3) \big) \right)",
    right=r"\Phi(z) = \tfrac12 \operatorname{erfc}(-z / \sqrt 2)",
    labels=("discretized-gaussian",),
    method="log-probabilities of pixel levels from the complementary error function, on the side "
    "of the smaller tail",
    tolerance=1e-9,
    impact="The function is at most {absolute:.2e} off, but {tail:.0%} at four standard "
    "deviations. There the log-probability of a level is {nats:.2f} nats off; averaged over "
    "levels that follow the decoder's Gaussian, with a standard deviation of three levels, the "
    "error is {average:.1e} bits. The gradient at outliers is wrong, the mean is not.",
)
def tanh_for_the_normal_distribution() -> Residuals:
    """The cubic fits the bulk of the distribution but not its tails, where the logarithm of the
    likelihood turns a small error into a relative one."""

    def tanh(z: float) -> float:
        return 0.5 * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (z + 0.044715 * z**3)))

    def phi(z: float) -> float:
        return 0.5 * math.erfc(-z / math.sqrt(2.0))

    half, scale, mean = 1.0 / 255.0, 3.0 * 2.0 / 255.0, 0.1
    levels = np.array([b / 127.5 - 1.0 for b in range(256)])
    near = levels[np.abs(levels - mean) < 5.0 * scale]

    def log_p(cdf: object, x: float) -> float:
        a, b = (x - half - mean) / scale, (x + half - mean) / scale
        if a > 0.0:
            a, b = -b, -a
        return math.log(max(cdf(b) - cdf(a), 1e-12))  # type: ignore[operator]

    exact = np.array([log_p(phi, x) for x in near])
    program = np.array([log_p(tanh, x) for x in near])
    ours, _ = discretized_gaussian(
        np.full_like(near, mean), np.full_like(near, 2.0 * math.log(scale)), x=near
    )
    z = np.linspace(0.0, 6.0, 6001)
    out = np.argmin(np.abs(near - mean + 4.0 * scale))
    figures = {
        "absolute": max(abs(tanh(v) - phi(v)) for v in z.tolist()),
        "tail": abs(tanh(-4.0) / phi(-4.0) - 1.0),
        "nats": abs(program[out] - exact[out]),
        "average": abs(float(np.sum(np.exp(exact) * (exact - program)))) / math.log(2.0),
    }
    return Residuals(
        float(np.abs(program - exact).max()), float(np.abs(ours - exact).max()), figures
    )


@erratum(
    "min-snr-of-v",
    title="Min-SNR for v with SNR + 1 in the numerator",
    occurrences=(
        Occurrence("diffusers #5654, #6307, #8466: training scripts, since corrected", QUOTED),
    ),
    wrong=r"w_v = \frac{\min(\mathrm{SNR} + 1,\, \gamma)}{\mathrm{SNR} + 1}",
    right=r"w_v = \frac{\min(\mathrm{SNR},\, \gamma)}{\mathrm{SNR} + 1}",
    labels=("min-snr", "output-weight", "error-units"),
    method="an error of x0_hat, converted to an error of v, must have the loss min(SNR, gamma) "
    "times its square",
    tolerance=1e-12,
    impact="At SNR = 0.01 the weight is {noisy:.0f} times the intended one, at SNR = 1 {one:.1f} "
    "times, and from SNR = gamma = 5 on it is right. For SNR < 4 it is the unweighted loss of v: "
    "a sensible loss under the wrong name.",
)
def min_snr_of_v() -> Residuals:
    """The weight of x_0 is min(SNR, gamma); an error of v is that of x_0 divided by sigma, so the
    weight of v is min(SNR, gamma) / (SNR + 1). The 1 belongs in the denominator only."""
    schedule = LinearVP()
    snr = np.array([0.01, 0.1, 1.0, 4.5, 20.0, 300.0])
    t = schedule.time_at(np.log(snr))
    alpha, sigma = np.sqrt(snr / (1.0 + snr)), np.sqrt(1.0 / (1.0 + snr))
    rng = np.random.default_rng(0)
    x_0, eps, off = rng.standard_normal((3, 6))
    x_t = alpha * x_0 + sigma * eps
    x0_hat = x_0 + off
    eps_hat = (x_t - alpha * x0_hat) / sigma
    v_error = (alpha * eps_hat - sigma * x0_hat) - (alpha * eps - sigma * x_0)
    intended = np.minimum(snr, 5.0) * off**2
    wrong = np.minimum(snr + 1.0, 5.0) / (snr + 1.0) * v_error**2 / intended
    right = weight(schedule, PARAMETERIZATIONS["v"], min_snr, t) * v_error**2 / intended
    worst = [float(np.abs(ratio - 1.0).max()) for ratio in (wrong, right)]
    return Residuals(worst[0], worst[1], {"noisy": wrong[0], "one": wrong[2]})


@erratum(
    "one-term-for-the-sum",
    title="One term of the bound instead of the sum",
    occurrences=(
        Occurrence("denoising-diffusion-pytorch, learned_gaussian_diffusion.py", READ),
        Occurrence("guided-diffusion: the default, with rescale_learned_sigmas=False", READ),
        Occurrence("improved-diffusion #17, #114, #147, #153, questions on the factor", QUOTED),
    ),
    wrong=r"L_{\text{simple}} + \lambda\, L_{t - 1}, \qquad t \sim \{1, \dots, T\},"
    r" \qquad \lambda = 0.001",
    right=r"L_{\text{simple}} + \lambda\, T\, L_{t - 1}",
    labels=("hybrid-loss", "vlb-loss"),
    method="the mean over all t, compared with the bound as a sum of Gaussian divergences",
    tolerance=1e-10,
    impact="The bound's part of the loss is T times smaller than in the paper: {ratio:.3f} times "
    "for the six steps of this test, a thousand times for 1000. improved-diffusion's T / 1000 "
    "with terms in bits is the paper's lambda times {bits:.2f}. The effect of the smaller weight "
    "on the learned variances was not measured.",
)
def one_term_for_the_sum() -> Residuals:
    """L_vlb is a sum over t. One term at a random t estimates its mean; times T, the sum. Without
    T, lambda = 0.001 becomes a millionth."""
    T, rng = 6, np.random.default_rng(0)
    schedule = linear_betas(T, 0.05, 0.4)
    x_0, x0_hat, eps = 0.4 * rng.standard_normal((3, 1, 2))
    x_0 = np.round((x_0 + 1.0) * 127.5) / 127.5 - 1.0
    v = rng.uniform(-0.8, 0.8, (T, 1, 2))
    objective = Objective(schedule, PARAMETERIZATIONS["x0"])
    total, estimates, betas = 0.0, [], schedule.betas[1:]
    abar = np.concatenate([[1.0], np.cumprod(1.0 - betas)])
    for t in range(1, T + 1):
        of_data = math.sqrt(abar[t - 1]) * betas[t - 1] / (1.0 - abar[t])
        tilde = (1.0 - abar[t - 1]) / (1.0 - abar[t]) * betas[t - 1]
        first = (1.0 - abar[1]) / (1.0 - abar[2]) * betas[1]
        fraction = 0.5 * (v[t - 1] + 1.0)
        variance = betas[t - 1] ** fraction * (first if t == 1 else tilde) ** (1.0 - fraction)
        if t > 1:
            off = of_data * (x0_hat - x_0)
            terms = 0.5 * (tilde / variance - 1.0 - np.log(tilde / variance) + off**2 / variance)
        else:
            z = np.stack([x_0 - 1.0 / 255.0, x_0 + 1.0 / 255.0])
            cdf = [
                [math.erfc(-a / math.sqrt(2.0)) / 2.0 for a in row.flat]
                for row in (z - x0_hat) / np.sqrt(variance)
            ]
            terms = -np.log(np.diff(cdf, axis=0))
        total += float(terms.mean())
        x_t = math.sqrt(abar[t]) * x_0 + math.sqrt(1.0 - abar[t]) * eps
        ones = np.ones(1)
        example = Example(
            network_input=x_t, timestep=ones, target=x_0, weight=ones, t=t * ones, eps=eps, x_t=x_t
        )
        output = np.concatenate([x0_hat, v[t - 1]], axis=-1)
        estimate, _ = bound_loss(output, example=example, objective=objective, x_0=x_0)
        estimates.append(float(estimate))
    mean = float(np.mean(estimates))
    figures = {"ratio": total / (mean / T), "bits": 1.0 / math.log(2.0)}
    return Residuals(abs(mean / T / total - 1.0), abs(mean / total - 1.0), figures)


@erratum(
    "logarithm-as-a-variance",
    title="A learned log-variance used as a variance",
    occurrences=(
        Occurrence("diffusers #2090, DDPMScheduler with variance_type='learned_range'", QUOTED),
    ),
    wrong=r"\Sigma = v \log \beta_t + (1 - v) \log \tilde\beta_t",
    right=r"\Sigma = \exp\!\left( v \log \beta_t + (1 - v) \log \tilde\beta_t \right)",
    labels=("interpolated-variance",),
    method="at v = 1 the variance is beta and at v = 0 beta-tilde, both from the betas",
    tolerance=1e-10,
    impact="At t = 500 the 'variance' is {value:.2f}, which has no real root: samples are NaN "
    "from the first step on.",
)
def logarithm_as_a_variance() -> Residuals:
    """The network interpolates the logarithm, so that it can learn variances of any size; the
    variance is its exponential."""
    schedule = linear_betas()
    wrong, right = 0.0, 0.0
    for t in (2, 500, 1000):
        abar = np.cumprod(1.0 - schedule.betas[1:])
        beta = schedule.betas[t]
        tilde = (1.0 - abar[t - 2]) / (1.0 - abar[t - 1]) * beta
        for v, expected in ((1.0, beta), (0.0, tilde)):
            raw = v * math.log(beta) + (1.0 - v) * math.log(tilde)
            found = interpolated(schedule, t - 1.0, float(t), np.full((1, 1), v))[0, 0]
            wrong, right = (
                max(wrong, abs(raw / expected - 1)),
                max(right, abs(found / expected - 1)),
            )
    value = math.log(schedule.betas[500])
    return Residuals(wrong, float(right), {"value": value})


@erratum(
    "weight-of-the-data-in-the-bound",
    title="The bound's weight of x_0, wrong by operator precedence",
    occurrences=(
        Occurrence("latent-diffusion, ddpm.py: lvlb_weights where the model predicts x_0", READ),
    ),
    wrong=r"\frac{\tfrac12 \sqrt{\bar\alpha_t}}{2 \cdot 1 - \bar\alpha_t}",
    right=r"\tfrac12 \left( \mathrm{SNR}_{t-1} - \mathrm{SNR}_t \right)",
    labels=("discrete-weight", "error-units", "bound-step"),
    method="the divergence of two Gaussians with DDPM's posterior means and variance, in betas",
    tolerance=1e-10,
    impact="At t = 2 the weight is {early:.1e} times the right one, at t = 1000 {late:.0e} times. "
    "With the intended parentheses, 2 (1 - alpha-bar), it is {meant_early:.2f} and "
    "{meant_late:.0e} times the right one: not the weight of the bound either. Its factor in the "
    "loss is 0 by default; and if the model predicts the noise, the weight is right.",
)
def weight_of_the_data_in_the_bound() -> Residuals:
    """2. * 1 - a is 2 - a. The intended formula is not the weight either, which is half the
    difference in SNR over the step."""
    schedule = linear_betas()
    t = np.array([2, 10, 100, 500, 1000])
    abar = np.concatenate([[1.0], np.cumprod(1.0 - schedule.betas[1:])])
    of_x_0 = np.sqrt(abar[t - 1]) * schedule.betas[t] / (1.0 - abar[t])
    variance = (1.0 - abar[t - 1]) / (1.0 - abar[t]) * schedule.betas[t]
    divergence = of_x_0**2 / (2.0 * variance)
    program = 0.5 * np.sqrt(abar[t]) / (2.0 * 1 - abar[t]) / divergence
    meant = 0.5 * np.sqrt(abar[t]) / (2.0 * (1 - abar[t])) / divergence
    timesteps = t.astype(float)
    ours = (
        discrete_weight(schedule, timesteps - 1.0, timesteps)
        * np.exp(schedule.log_snr(timesteps))
        / divergence
    )
    figures = {
        "early": program[0],
        "late": program[-1],
        "meant_early": meant[0],
        "meant_late": meant[-1],
    }
    worst = [float(np.abs(ratio - 1.0).max()) for ratio in (program, ours)]
    return Residuals(worst[0], worst[1], figures)


@erratum(
    "density-at-the-bytes",
    title="A density at pixel levels instead of their probability",
    occurrences=(
        Occurrence(
            "score_sde #24 and #51: without dequantization, bits per dimension below 0", QUOTED
        ),
    ),
    wrong=r"\text{bits} = -\log_2 \left( p(x)\, \delta \right), \qquad \delta = \tfrac{2}{255}",
    right=r"\text{bits} = -\log_2 \int_{x - \delta/2}^{x + \delta/2} p(u)\, \mathrm d u",
    labels=("discretized-gaussian", "bits-per-dim"),
    method="Kraft's inequality: the sum of 2^-bits over all 256 levels is at most 1",
    tolerance=1e-9,
    impact="A density with peaks at the 256 levels, {width:.0e} of a level wide, claims "
    "{claimed:.1f} bits for uniform levels, whose entropy is 8. The sum, which must not exceed 1, "
    "is {kraft:.0f}. Smooth densities gain little, sharp ones without limit.",
)
def density_at_the_bytes() -> Residuals:
    """A density has no upper bound; a probability has. A code for pixel levels needs the
    probability of a level: the integral over its bin or, with uniform noise added, a bound."""
    delta = 2.0 / 255.0
    values = np.array([b / 127.5 - 1.0 for b in range(256)])
    width = 5e-4
    std = width * delta
    # equal narrow peaks at the levels; at a level the other peaks are negligible
    dense = np.full(256, delta / (256.0 * std * math.sqrt(2.0 * math.pi)))
    mean, variance = np.full(256, 0.1), np.full(256, 2.0 * math.log(0.02))
    log_p, _ = discretized_gaussian(mean, variance, x=values)
    wrong, right = float(dense.sum()), float(np.exp(log_p).sum())
    figures = {"width": width, "claimed": -math.log2(dense[0]), "kraft": wrong}
    return Residuals(max(0.0, wrong - 1.0), abs(right - 1.0), figures)
