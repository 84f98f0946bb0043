"""Checks of what samplers hear from a network with a learned variance, and of their noise."""

import numpy as np

from npdiff import samplers
from npdiff.backend import Array, to_host
from npdiff.editing import repaint
from npdiff.laboratory.registry import Case, check, relative
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.samplers.learned import with_variance
from npdiff.samplers.step import keyed_noise
from npdiff.schedules import DiscreteSchedule, LinearVP


@check("interpolated-variance", "ancestral-step", route="a loop in DDPM's symbols", tolerance=1e-12)
def learned_variances_step_by_step(case: Case) -> float:
    """Ancestral steps with a variance of each number's own; the network runs once a step."""
    betas = case.rng.uniform(0.05, 0.4, 5)
    schedule, bars = DiscreteSchedule(betas), np.cumprod(1.0 - betas)
    shape = case.choose([(2, 3), (2, 2, 3), (1, 4, 1), (3, 2)])
    x, noise = case.normal(shape), case.rng.standard_normal((5, *shape))
    asked = []

    def network(x: Array, timestep: Array) -> Array:
        asked.append(1)
        told = timestep.reshape(-1, *(1,) * (x.ndim - 1)) / 5.0
        return case.xp.concatenate([case.xp.sin(x) + told, case.xp.tanh(x - told)], axis=-1)

    denoise, variance = with_variance(network, schedule, PARAMETERIZATIONS["eps"])
    steps = samplers.sample(
        "ddpm", denoise, schedule, x, np.arange(5.0, -1.0, -1.0), lambda i: case.array(noise[i]),
        variance=variance,
    )  # fmt: skip
    found, state, off = [step.x for step in steps], to_host(x), []
    for i, t in enumerate(range(5, 0, -1)):
        bar, beta, before = bars[t - 1], betas[t - 1], bars[t - 2] if t > 1 else 1.0
        eps, v = np.sin(state) + t / 5.0, np.tanh(state - t / 5.0)
        mean = (state - beta / np.sqrt(1.0 - bar) * eps) / np.sqrt(1.0 - beta)
        if t > 1:
            part = (v + 1.0) / 2.0
            tilde = beta * (1.0 - before) / (1.0 - bar)
            mean = mean + beta ** (part / 2.0) * tilde ** (0.5 - part / 2.0) * noise[i]
        state = mean
        off.append(relative(found[i], state))
    once = float(len(asked) != 5)
    _, again = with_variance(network, schedule, PARAMETERIZATIONS["eps"])
    alone = again(x, 2.0, 3.0)  # of a state that was not denoised before
    v = 0.5 * (np.tanh(to_host(x) - 3.0 / 5.0) + 1.0)
    tilde = betas[2] * (1.0 - bars[1]) / (1.0 - bars[2])
    return max(*off, once, relative(alone, betas[2] ** v * tilde ** (1.0 - v)))


@check("keyed-words", "box-muller", route="a key for each step", tolerance=0.0)
def noise_of_each_step(case: Case) -> float:
    """The noise of a step is what the key gives at that step, whatever its own was."""
    key, shape = Key(case.index, (4, 1), 9, "noise"), case.choose([(2, 3), (2,), (2, 2, 1), (2, 1)])
    noise = keyed_noise(key, case.array(np.zeros(shape)))
    there = [Key(case.index, (4, 1), i, "noise").normal(shape[1:]) for i in (0, 1, 7)]
    pairs = zip((0, 1, 7), there, strict=True)
    return max(relative(noise(i), expected) for i, expected in pairs)


@check("replacement", "renoising", route="draws counted", tolerance=0.0, cases=3)
def draws_of_each_move(case: Case) -> float:
    """A move's own draw is number 64 i, and those of its sampler follow, one after the other."""
    schedule, drawn = LinearVP(), []
    x, timesteps = case.array(np.zeros((1, 2))), np.array([0.9, 0.5, 0.2, 0.0])
    corrections = case.choose([1, 2, 0])

    def noise(i: int) -> Array:
        drawn.append(i)
        return x

    steps = repaint(
        lambda x, t: (0.5 * x, x), schedule, x, timesteps, known=x, mask=np.array([True, False]),
        noise=noise, resamplings=1, sampler="predictor-corrector", corrections=corrections,
    )  # fmt: skip
    count = len(list(steps))
    own = [[64 * i, *(64 * i + 1 + k for k in range(1 + corrections))] for i in (1, 2)]
    return float(count != 3 or sorted(drawn) != [0, *own[0], *own[1], 192])
