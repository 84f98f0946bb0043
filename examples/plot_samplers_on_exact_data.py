r"""
Samplers measured without training anything
===========================================

How good is a sampler? On a trained network one cannot tell: the network's error and the sampler's
come out together. For data that are a mixture of Gaussians the perfect denoiser is a formula,
:eq:`mixture-denoiser`, and where the flow carries each point is known too, :eq:`quantile-flow`.
What then remains is the sampler's own error, and it can be read off to many digits.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

from npdiff.exact import Gaussian, Mixture
from npdiff.random import Key
from npdiff.samplers import ddim, euler, heun
from npdiff.schedules import LinearVP
from npdiff.spacings import trailing

# %%
# The data, and the truth
# -----------------------
#
# Two bumps, one twice as heavy as the other. Their mean is not 0 and their standard deviation is
# not 1, and that matters: standard normal data would look the same at every time, and a sampler
# that confuses its times would pass.

mixture = Mixture([2.0, 1.0], [Gaussian([1.5], 0.16), Gaussian([-1.0], 0.04)])
schedule = LinearVP()
denoise = mixture.denoiser(schedule)

start, end = 1.0, 0.1
noise = Key(seed=0, samples=np.arange(100)).normal((1,))
truth = mixture.flow(schedule, noise, start, end)

# %%
# The order of a method
# ---------------------
#
# We go from t = 1 to t = 0.1 in more and more steps and compare each of 100 points with where it
# should arrive. Halve the step: if the error halves the method is of first order, if it falls to a
# quarter of second. On paper with two logarithmic axes the order is a slope. DDIM :eq:`ddim-step`
# and Euler :eq:`euler-step` should have 1, Heun :eq:`heun-step`, which asks the denoiser twice a
# step, should have 2.

counts = np.array([32, 64, 128, 256, 512])
methods = {"DDIM": ddim, "Euler": euler, "Heun": heun}
error, order = {}, {}
for name, sampler in methods.items():
    error[name] = []
    for count in counts:
        timesteps = np.linspace(start, end, count + 1)
        for step in sampler(denoise, schedule, noise, timesteps):
            x = step.x
        error[name].append(np.sqrt(np.mean((x - truth) ** 2)))
    order[name] = -np.polyfit(np.log(counts[-3:]), np.log(error[name][-3:]), 1)[0]
    print(
        f"{name:5}: error {error[name][0]:.1e} ... {error[name][-1]:.1e}, order {order[name]:.2f}"
    )

figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
for (name, values), color in zip(error.items(), ("#0b61a8", "#b4470c", "#2e7d32"), strict=True):
    axes.loglog(counts, values, "o-", color=color, label=f"{name}, slope −{order[name]:.2f}")
axes.set_xticks(counts, counts)
axes.minorticks_off()
axes.set(xlabel="steps", ylabel="error (root mean square)")
axes.legend(frameon=False)
plt.show()

# %%
# One sign
# --------
#
# A DDIM step mixes two estimates, of the data and of the noise, with a *plus* between them. There
# are programs on the net that have a *minus*. Nothing crashes, and the pictures look like
# something. Here is what happens to plain normal data of mean 2 and standard deviation 0.5.

gaussian = Gaussian([2.0], 0.25)
denoise = gaussian.denoiser(schedule)
noise = Key(seed=1, samples=np.arange(4000)).normal((1,))


def ddim_with_sign(sign, steps=100):
    """Samples by DDIM with ``sign`` before the noise: +1 is right."""
    x = noise
    timesteps = trailing(schedule, steps)
    for t, s in pairwise(timesteps):
        x_0, eps = denoise(x, t)
        x = schedule.alpha(s) * x_0 + sign * schedule.sigma(s) * eps
    return x


samples = {"plus": ddim_with_sign(+1.0), "minus": ddim_with_sign(-1.0)}
print("data:  mean 2.000, standard deviation 0.500")
for name, x in samples.items():
    print(f"{name:5}: mean {x.mean():.3f}, standard deviation {x.std():.3f}")

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
bins = np.linspace(0, 4, 81)
grid = np.linspace(0, 4, 401)
density = np.exp(gaussian.log_density(schedule, grid[:, None], 0.0))
axes.plot(grid, density, color="black", label="data")
axes.hist(samples["plus"][:, 0], bins, density=True, color="#0b61a8", alpha=0.5, label="plus")
axes.hist(samples["minus"][:, 0], bins, density=True, color="#b4470c", alpha=0.7, label="minus")
axes.set(xlabel="x", ylim=(0, 4), yticks=[])
axes.legend(frameon=False)
plt.show()

# %%
# The mean is fine: the estimate of the data sees to that. But about the mean the two estimates pull
# the same way, and a minus sets them against each other. While noise prevails a step merely mirrors
# the samples, while data prevail it leaves them alone; between, where the two weigh the same, they
# cancel. The spread goes to zero there and never returns. Images made this way are clean, and all
# alike. Whoever compares a standard deviation with what it should be finds it at once.
