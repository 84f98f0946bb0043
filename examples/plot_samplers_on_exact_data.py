r"""
Measure samplers without training a network
===========================================

How accurate is a sampler? With a trained network we cannot tell, because the error of the network
and that of the sampler add up. If the data are a mixture of Gaussians, the exact denoiser
:eq:`mixture-denoiser` and the exact solution of the probability-flow ODE :eq:`quantile-flow` are
known. Then the only error is that of the sampler, and it can be measured to many digits.
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
# The data and the exact solution
# -------------------------------
#
# The mixture has two components, one with twice the weight of the other. Its mean is not 0 and its
# standard deviation is not 1. That matters: standard normal data have the same distribution at
# every time, and a sampler that uses wrong times would pass.

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
# We go from t = 1 to t = 0.1 with an increasing number of steps and compare 100 points with the
# exact solution. If halving the step halves the error, the method is of first order; if the error
# falls to a quarter, of second order. In a plot with two logarithmic axes the order is the slope.
# DDIM :eq:`ddim-step` and Euler :eq:`euler-step` should have order 1; Heun :eq:`heun-step`, which
# calls the denoiser twice per step, should have order 2.

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
# A wrong sign
# ------------
#
# A DDIM step is the sum of two terms, with the estimates of the data and of the noise. Some public
# programs have a *minus* between them instead of a *plus*. They do not crash, and their images look
# plausible. Here is the effect on normal data with mean 2 and standard deviation 0.5.

gaussian = Gaussian([2.0], 0.25)
denoise = gaussian.denoiser(schedule)
noise = Key(seed=1, samples=np.arange(4000)).normal((1,))


def ddim_with_sign(sign, steps=100):
    """Samples of DDIM with ``sign`` before the noise; +1 is correct."""
    x = noise
    timesteps = trailing(schedule, steps)
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        x = schedule.alpha(s) * x0_hat + sign * schedule.sigma(s) * eps_hat
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
# The mean is correct, because the term with the data determines it. But the deviations from the
# mean in the two terms have the same sign, and with a minus they are subtracted. At high noise
# levels a step only mirrors the samples, and at low noise levels it leaves them almost unchanged.
# In between, where both terms have the same size, they cancel: the standard deviation goes to zero
# and stays there. Such images are clean and all alike. A comparison of the standard deviation with
# that of the data detects the mistake at once.
