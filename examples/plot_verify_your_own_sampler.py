r"""
Verify your own sampler
=======================

A wrong sampler does not crash; it produces images, and the mistake is hard to see in them. This
example has a sampler with two mistakes, both found in public programs; a test that does not detect
the second one; and :func:`npdiff.verify.sampler <npdiff.verify._sampler.sampler>`, which does.
"""

import matplotlib.pyplot as plt
import numpy as np

from npdiff import verify
from npdiff.exact import Gaussian
from npdiff.random import Key
from npdiff.schedules import linear_betas
from npdiff.verify.adapters import in_index

# %%
# The sampler
# -----------
#
# DDIM :eq:`ddim-step` on a discrete schedule that is given as an array of alpha-bar; ``eps(x, i)``
# predicts the noise at index i. The sampler should use a few evenly spaced indices. The mistakes: a
# minus before the predicted noise, and a slice that takes the *first* indices, not every k-th.


def ddim(eps, x, alpha_bar, steps, sign=-1.0, even=False):
    """Samples of DDIM from the noise x; correct with ``sign=+1`` and ``even=True``."""
    T = len(alpha_bar)
    indices = range(T // steps - 1, T, T // steps) if even else range(1, T)[:steps]
    bars = [1.0, *(alpha_bar[i] for i in indices)]
    for i, bar, before in zip(reversed(indices), bars[:0:-1], bars[-2::-1], strict=True):
        eps_hat = eps(x, i)
        x0_hat = (x - np.sqrt(1 - bar) * eps_hat) / np.sqrt(bar)
        x = np.sqrt(before) * x0_hat + sign * np.sqrt(1 - before) * eps_hat
    return x


# %%
# A test that does not detect the second mistake
# ----------------------------------------------
#
# The exact denoiser of standard normal data is simple, and so is a test with it: sample from random
# noise, and check that the standard deviation is 1.

alpha_bar = linear_betas().alpha_bar[1:]
start = Key(seed=0, samples=np.arange(20_000)).normal((1,))
versions = {
    "both mistakes": {"sign": -1.0, "even": False},
    "first mistake fixed": {"sign": +1.0, "even": False},
    "both mistakes fixed": {"sign": +1.0, "even": True},
}


def samples_of(data, mistakes):
    denoise = data.denoiser(linear_betas())
    return ddim(lambda x, i: denoise(x, i + 1.0)[1], start, alpha_bar, 50, **mistakes)


standard = {name: samples_of(Gaussian([0.0], 1.0), m).std() for name, m in versions.items()}
for name, deviation in standard.items():
    print(f"standard normal data, {name}: standard deviation {deviation:.3f}")

# %%
# The test detects the sign. With the sign fixed it passes, although the second mistake remains:
# standard normal data with noise are standard normal at *every* time, so it does not matter which
# times a sampler visits. The correct sampler even has a slightly larger error, because its fifty
# steps cover the whole schedule and are longer. Now data with a mean that is not 0 and a standard
# deviation that is not 1:

data = Gaussian([2.0], 0.25)
samples = {name: samples_of(data, mistakes)[:, 0] for name, mistakes in versions.items()}
for name, x in samples.items():
    print(f"N(2, 0.5^2), {name}: mean {x.mean():.2f}, standard deviation {x.std():.2f}")

figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
grid = np.linspace(-4, 6, 500)
density = np.exp(data.log_density(linear_betas(), grid[:, None], 0.0))
axes.plot(grid, density, color="black", label="the data")
colors = ("#8e8e8e", "#b4470c", "#0b61a8")
for (name, x), color in zip(samples.items(), colors, strict=True):
    axes.hist(x, np.linspace(-4, 6, 201), density=True, color=color, alpha=0.6, label=name)
axes.set(xlabel="x", ylim=(0, 1.2), yticks=[])
axes.legend(frameon=False)
plt.show()

# %%
# A test that detects both
# ------------------------
#
# :func:`npdiff.verify.sampler <npdiff.verify._sampler.sampler>` tests more than two moments. For a
# mixture of Gaussians it computes the exact end point of each trajectory, :eq:`quantile-flow`, and
# measures how the error falls as the number of steps doubles. An adapter calls a sampler that works
# with indices: it chooses the length of the discrete schedule and passes the indices, with
# ``stride=5`` every fifth.

reports = {}
for name, mistakes in versions.items():

    def mine(eps, x, alpha_bar, indices, mistakes=mistakes):
        return ddim(eps, x, alpha_bar, len(indices), **mistakes)

    reports[name] = verify.sampler(in_index(mine, stride=5), order=1)

print(reports["first mistake fixed"])

# %%
# The error does not fall. With both mistakes fixed it does:

print(reports["both mistakes fixed"])

# %%
# The measured errors. In a plot with two logarithmic axes the error of the correct sampler falls
# along a line; that of a wrong sampler stays above a constant for any number of steps.

figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, report), color in zip(reports.items(), colors, strict=True):
    steps, error = report.measured["steps"], report.measured["error"]
    axes.loglog(steps, error, "o-", color=color, label=name)
axes.set_xticks(steps, steps)
axes.minorticks_off()
axes.set(xlabel="steps", ylabel="largest error of six points")
axes.legend(frameon=False)
plt.show()

# %%
# In your tests this is one line: ``verify.sampler(mine, order=1).check()`` raises an error with the
# report. The chapter :doc:`/laboratory` describes the same for schedules, denoisers, forward
# processes and gradients, and for PyTorch and JAX.
