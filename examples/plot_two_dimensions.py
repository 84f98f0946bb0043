r"""
A diffusion model in the plane
==============================

A complete diffusion model in two dimensions: data, a network with hand-written gradients, training
and two samplers. The data are a ring of eight Gaussians. For them the best possible prediction is
known, and we compare the trained network with it.
"""

import matplotlib.pyplot as plt
import numpy as np

from npdiff import tree
from npdiff.data import TOYS
from npdiff.denoiser import Denoiser, inference_network
from npdiff.exact import Gaussian, Mixture
from npdiff.nn import MLP
from npdiff.objective import Objective, loss
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.process import marginal
from npdiff.random import Key
from npdiff.samplers import ddim, ddpm, keyed_noise
from npdiff.schedules import Cosine
from npdiff.spacings import trailing
from npdiff.training.optimizer import Moments, adamw, ema, ema_decay, learning_rate

# %%
# Training
# --------
#
# One training step: sample data; sample a time and noise for each point and compute the noisy
# points, :eq:`marginal`; let the network predict :math:`v`, :eq:`v-prediction`; compute the squared
# error, :eq:`squared-error`. Then call the pullbacks in reverse order, first that of the loss, and
# pass the gradient to the optimizer, :eq:`adamw`. The gradient of a network is a network of the
# same class.

ring = TOYS["ring"]
schedule = Cosine()
objective = Objective(schedule, PARAMETERIZATIONS["v"])
batch, steps = 512, 2000

network = MLP.init(0, channels=2, width=96, depth=3)
average, moments = network, Moments.zero(network)
losses = []
for step in range(1, steps + 1):
    key = Key(seed=0, samples=np.arange(batch), step=step)
    x_0 = ring.sample(key.fold("data")).astype(np.float32)
    example = objective.example(x_0, key)

    v, network_pullback = network(example.network_input, example.timestep)
    error, loss_pullback = loss(v, example=example)

    (dv,) = loss_pullback(1.0)
    gradient, _, _ = network_pullback(dv)

    rate = learning_rate(step, peak=3e-3, steps=steps, warmup=100, decay="cosine")
    network, moments = adamw(network, gradient, moments, step=step, learning_rate=rate)
    average = ema(average, network, ema_decay(step, 0.99))
    losses.append(error)

print(
    f"{tree.size(network):,} parameters; loss {np.mean(losses[:50]):.3f} at the beginning, ", end=""
)
print(f"{np.mean(losses[-200:]):.3f} at the end")

# %%
# Sampling
# --------
#
# Both samplers start from the same noise. DDIM :eq:`ddim-step` adds no noise and needs few steps;
# ancestral sampling :eq:`ancestral-step` adds noise at every step and needs more steps.

denoise = Denoiser(inference_network(average), schedule, PARAMETERIZATIONS["v"])
key = Key(seed=1, samples=np.arange(2000))
noise = key.fold("start").normal((2,)).astype(np.float32)


def last(steps):
    """The samples: the state after the last step of a sampler."""
    *_, step = steps
    return step.x


samples = {
    "data": ring.sample(key.fold("data")),
    "DDIM, 50 steps": last(ddim(denoise, schedule, noise, trailing(schedule, 50))),
    "ancestral, 200 steps": last(
        ddpm(denoise, schedule, noise, trailing(schedule, 200), noise=keyed_noise(key, noise))
    ),
}

figure, panels = plt.subplots(
    1, 3, figsize=(9, 3.2), sharex=True, sharey=True, layout="constrained"
)
for axes, (name, x) in zip(panels, samples.items(), strict=True):
    axes.plot(*x.T, ".", markersize=1.5, color="#0b61a8")
    axes.set(title=name, xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal")
plt.show()

# %%
# For each set of points we print the fraction within three standard deviations of the nearest of
# the eight centers (98.9 % is expected), and the smallest and the largest fraction of points at one
# center (12.5 % is expected).

angle = np.arange(8) * (2 * np.pi / 8)
centers = 1.5 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
within, fractions = {}, {}
for name, x in samples.items():
    distance = np.linalg.norm(x[:, None] - centers, axis=-1)
    within[name] = np.mean(distance.min(axis=1) < 3 * 0.15)
    fractions[name] = np.bincount(distance.argmin(axis=1), minlength=8) / len(x)
    print(
        f"{name:20}: {within[name]:6.1%} near a center, "
        f"{fractions[name].min():5.1%} to {fractions[name].max():5.1%} at each"
    )

# %%
# Compared with the best possible prediction
# ------------------------------------------
#
# The loss does not go to zero, and it should not: a noisy point may come from any of the eight
# Gaussians. The best prediction is the conditional mean, :eq:`mixture-denoiser`, which has the
# smallest possible error. The figure compares the error of the network with it at many times.

exact = Mixture([1.0] * 8, [Gaussian(center, 0.15**2) for center in centers])
best = exact.denoiser(schedule)

key = Key(seed=2, samples=np.arange(4000))
x_0 = ring.sample(key.fold("data")).astype(np.float32)
eps = key.fold("noise").normal((2,)).astype(np.float32)
timesteps = np.linspace(0.02, 1.0, 30)
learned_error, least_error = [], []
for t in timesteps:
    x_t = marginal(schedule, x_0, eps, t)
    learned_error.append(np.mean((denoise(x_t, t)[0] - x_0) ** 2))
    least_error.append(np.mean((best(x_t, t)[0] - x_0) ** 2))

figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.semilogy(timesteps, least_error, color="#888888", linewidth=5, label="smallest possible")
axes.semilogy(timesteps, learned_error, color="#0b61a8", label="network")
axes.set(xlabel="time t", ylabel="squared error of the data")
axes.legend(frameon=False)
plt.show()

excess = np.sum(learned_error) / np.sum(least_error) - 1
ratio = np.array(learned_error) / np.array(least_error)
print(f"over all times the error of the network is {excess:.1%} above the smallest possible,")
print(
    f"and {ratio.max() - 1:.1%} at t = {timesteps[ratio.argmax()]:.2f}, where the ratio is largest"
)

# %%
# The loss is almost optimal, and still the samples have a visible error: a few points lie between
# the centers, where the exact denoiser leaves none. The loss is a mean over independent times and
# points. A sampler goes through all times in sequence, and the error of each prediction affects all
# later ones. This is why models are compared by their samples.
