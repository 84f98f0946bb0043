r"""
The forward process: how an image becomes noise
===============================================

A diffusion model learns to undo one simple thing: a little noise is mixed into the data, again and
again, until nothing else is left. Here we watch it happen to a digit, and prove on single numbers
that a thousand small steps can be taken in one.
"""

import matplotlib.pyplot as plt
import numpy as np

from npdiff import data, report
from npdiff.process import marginal, transition
from npdiff.random import Key
from npdiff.schedules import DiscreteSchedule, linear_betas

# %%
# One digit, step by step
# -----------------------
#
# DDPM's chain has :math:`T = 1000` steps with the variances :eq:`linear-betas`. At each, the image
# is shrunk a little and a little noise is added: the kernel :eq:`transition`. We take all thousand,
# one after the other, and keep a few of the images on the way.

schedule = linear_betas()
digit = data.to_float(data.load("digits").images[:1])
key = Key(seed=0, samples=[0], stream="steps")

x, kept = digit, {0: digit}
for t in range(1, schedule.steps + 1):
    shrink, variance = transition(schedule, t - 1, t)
    x = shrink * x + np.sqrt(variance) * key.fold(t).normal(digit.shape[1:])
    if t in (50, 100, 200, 300, 500, 1000):
        kept[t] = x

strip = report.noising_strip(np.concatenate(list(kept.values())), list(kept), scale=3)
figure, axes = plt.subplots(figsize=(9, 1.9), layout="constrained")
axes.imshow(strip[..., 0], cmap="gray")
axes.axis("off")
plt.show()

# %%
# A number to check by hand
# -------------------------
#
# Normal noise has a gift: the sum of two independent normal numbers is normal, and their variances
# add up. Take a chain of two steps with :math:`\beta_1 = 0.19` and :math:`\beta_2 = 0.36`, and data
# that are the number 2.
#
# - The first step multiplies by :math:`\sqrt{1 - 0.19} = 0.9`; the mean becomes 1.8 and the
#   variance 0.19.
# - The second multiplies by :math:`\sqrt{1 - 0.36} = 0.8`; the mean becomes
#   :math:`0.8 \cdot 1.8 = 1.44` and the variance :math:`0.64 \cdot 0.19 + 0.36 = 0.4816`.
#
# The closed form :eq:`marginal` gets there at once. By :eq:`alpha-bar`,
# :math:`\bar\alpha_2 = 0.81 \cdot 0.64 = 0.5184`, whose root is 0.72: the mean is
# :math:`0.72 \cdot 2 = 1.44` and the variance :math:`1 - 0.5184 = 0.4816`. The program agrees:

short = DiscreteSchedule(np.array([0.19, 0.36]))
mean, variance = 2.0 * short.alpha(2), short.sigma(2) ** 2
print(f"in one step:  mean {mean:.4f}, variance {variance:.4f}")

mean, variance = 2.0, 0.0
for t in (1, 2):
    shrink, added = transition(short, t - 1, t)
    mean, variance = shrink * mean, shrink**2 * variance + added
print(f"in two steps: mean {mean:.4f}, variance {variance:.4f}")

# %%
# Composed, and in closed form
# ----------------------------
#
# The same with a crowd: 5,000 copies of the number 2 walk DDPM's chain, each with noise of its own.
# Their histogram after some steps (bars) should be the normal density that :eq:`marginal` gives
# directly (lines). Mean and standard deviation are printed beside what they should be.

count, x_0 = 5_000, 2.0
walkers = np.full((count, 1), x_0)
crowd = Key(seed=1, samples=np.arange(count), stream="crowd")
moments = (20, 100, 250, 1000)

figure, panels = plt.subplots(1, 4, figsize=(9, 2.4), sharex=True, layout="constrained")
shown = iter(panels)
errors = []
grid = np.linspace(-4, 4, 401)
for t in range(1, schedule.steps + 1):
    shrink, variance = transition(schedule, t - 1, t)
    walkers = shrink * walkers + np.sqrt(variance) * crowd.fold(t).normal((1,))
    if t in moments:
        mean, std = x_0 * schedule.alpha(t), schedule.sigma(t)
        errors.append(np.sqrt(count) * np.array([walkers.mean() - mean, walkers.std() - std]) / std)
        print(
            f"t = {t:4}: mean {walkers.mean():6.3f} (closed form {mean:6.3f}), "
            f"standard deviation {walkers.std():.3f} ({std:.3f})"
        )
        axes = next(shown)
        axes.hist(walkers[:, 0], bins=40, density=True, color="#9ec3e6")
        density = np.exp(-0.5 * ((grid - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
        axes.plot(grid, density, color="#0b4f8a")
        axes.set(title=f"t = {t}", yticks=[])
plt.show()

# %%
# The difference is what 5,000 draws allow: in units of their own standard error (1 for the mean,
# :math:`1/\sqrt 2` for the standard deviation) none is large.

print(f"largest difference: {np.abs(errors).max():.2f} standard errors")

# %%
# This is what makes training cheap: a noisy example of any time costs one draw, by
# :func:`npdiff.process.marginal`.

eps = Key(seed=2, samples=[0]).normal(digit.shape[1:])
x_300 = marginal(schedule, digit, eps, 300)
print(f"at t = 300, alpha = {schedule.alpha(300):.3f} and sigma = {schedule.sigma(300):.3f}")
