r"""
Prove your own sampler
======================

A sampler that is wrong does not crash. It makes pictures, and pictures can be looked at for a long
time. Here is one as it stands in a program on the net, with two mistakes; a test that cannot see
the second of them; and :func:`npdiff.verify.sampler <npdiff.verify._sampler.sampler>`, which can.
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
# DDIM :eq:`ddim-step` on a chain, with its table of alpha-bar, for which ``eps(x, i)`` answers with
# the noise at index i. It is to visit a few of the indices only, evenly spread. The mistakes: there
# is a minus before the noise, and a slice that takes the *first* few indices in the place of every
# so-manyeth.


def ddim(eps, x, alpha_bar, steps, sign=-1.0, spread=False):
    """From x at the end of the chain to the data, or so it says."""
    T = len(alpha_bar)
    indices = range(T // steps - 1, T, T // steps) if spread else range(1, T)[:steps]
    bars = [1.0, *(alpha_bar[i] for i in indices)]
    for i, bar, before in zip(reversed(indices), bars[:0:-1], bars[-2::-1], strict=True):
        noise = eps(x, i)
        x_0 = (x - np.sqrt(1 - bar) * noise) / np.sqrt(bar)
        x = np.sqrt(before) * x_0 + sign * np.sqrt(1 - before) * noise
    return x


# %%
# A test that cannot see
# ----------------------
#
# The perfect denoiser of standard normal data is simple, and a test with it is written quickly:
# draw noise, sample, and look whether mean and standard deviation are 0 and 1 again.

table = linear_betas().alpha_bar[1:]
start = Key(seed=0, samples=np.arange(20_000)).normal((1,))
versions = {
    "both mistakes": {"sign": -1.0, "spread": False},
    "the first mended": {"sign": +1.0, "spread": False},
    "both mended": {"sign": +1.0, "spread": True},
}


def samples_of(data, mistakes):
    denoise = data.denoiser(linear_betas())
    return ddim(lambda x, i: denoise(x, i + 1.0)[1], start, table, 50, **mistakes)


standard = {name: samples_of(Gaussian([0.0], 1.0), m).std() for name, m in versions.items()}
for name, deviation in standard.items():
    print(f"standard normal data, {name}: standard deviation {deviation:.3f}")

# %%
# The sign is found and mended, and then all is well, or seems to be. The second mistake does not
# show: standard normal data with noise are standard normal at *every* time, so it does not matter
# which times a sampler visits. The sampler that is right even scores a little worse, because fifty
# steps across the whole chain are longer than fifty at its clean end. Now a mean that is not 0 and
# a standard deviation that is not 1:

data = Gaussian([2.0], 0.25)
drawn = {name: samples_of(data, mistakes)[:, 0] for name, mistakes in versions.items()}
for name, x in drawn.items():
    print(f"N(2, 0.5^2), {name}: mean {x.mean():.2f}, standard deviation {x.std():.2f}")

figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
grid = np.linspace(-4, 6, 500)
density = np.exp(data.log_density(linear_betas(), grid[:, None], 0.0))
axes.plot(grid, density, color="black", label="the data")
colors = ("#8e8e8e", "#b4470c", "#0b61a8")
for (name, x), color in zip(drawn.items(), colors, strict=True):
    axes.hist(x, np.linspace(-4, 6, 201), density=True, color=color, alpha=0.6, label=name)
axes.set(xlabel="x", ylim=(0, 1.2), yticks=[])
axes.legend(frameon=False)
plt.show()

# %%
# A test that can
# ---------------
#
# The laboratory asks for more than two moments: on a mixture of Gaussians it knows where the flow
# carries every single point, :eq:`quantile-flow`, and doubles the number of steps again and again.
# A sampler on a chain goes in through an adapter. It makes the chain as long as it takes and names
# the indices; with ``stride=5`` every fifth.

reports = {}
for name, mistakes in versions.items():

    def mine(eps, x, alpha_bar, indices, mistakes=mistakes):
        return ddim(eps, x, alpha_bar, len(indices), **mistakes)

    reports[name] = verify.sampler(in_index(mine, stride=5), order=1)

print(reports["the first mended"])

# %%
# The error does not fall. And when both are mended:

print(reports["both mended"])

# %%
# The errors behind the verdicts. What is right has a slope on paper with two logarithmic axes; what
# is wrong has a floor, and no number of steps goes below it.

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
# In a test of your own it is one line: ``verify.sampler(mine, order=1).check()`` raises with the
# report. The chapter :doc:`/laboratory` has the same for schedules, denoisers, forward processes
# and gradients, and for PyTorch and JAX.
