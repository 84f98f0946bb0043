r"""
The forward process: how an image becomes noise
===============================================

A diffusion model learns to reverse a simple process: a little noise is added to the data, again and
again, until only noise is left. Here we apply the process to a digit, and verify that a thousand
small steps have the same distribution as one large step.
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
# DDPM's schedule has :math:`T = 1000` steps with the variances :eq:`linear-betas`. Each step
# multiplies the image by a factor slightly below 1 and adds a little noise, :eq:`transition`. We
# take all thousand steps and keep a few of the images.

schedule = linear_betas()
digit = data.to_float(data.load("digits").images[:1])
key = Key(seed=0, samples=[0], stream="steps")

x, kept = digit, {0: digit}
for t in range(1, schedule.steps + 1):
    factor, variance = transition(schedule, t - 1, t)
    x = factor * x + np.sqrt(variance) * key.fold(t).normal(digit.shape[1:])
    if t in (50, 100, 200, 300, 500, 1000):
        kept[t] = x

strip = report.noising_strip(np.concatenate(list(kept.values())), list(kept), scale=3)
figure, axes = plt.subplots(figsize=(9, 1.9), layout="constrained")
axes.imshow(strip[..., 0], cmap="gray")
axes.axis("off")
plt.show()

# %%
# An example to check by hand
# ---------------------------
#
# The sum of two independent normal variables is normal, and its variance is the sum of their
# variances. Take a schedule of two steps with :math:`\beta_1 = 0.19`, :math:`\beta_2 = 0.36`, and
# data that always have the value 2.
#
# - The first step multiplies by :math:`\sqrt{1 - 0.19} = 0.9`; the mean becomes 1.8 and the
#   variance 0.19.
# - The second multiplies by :math:`\sqrt{1 - 0.36} = 0.8`; the mean becomes
#   :math:`0.8 \cdot 1.8 = 1.44` and the variance :math:`0.64 \cdot 0.19 + 0.36 = 0.4816`.
#
# The closed form :eq:`marginal` gives the same in one step. By :eq:`alpha-bar`,
# :math:`\bar\alpha_2 = 0.81 \cdot 0.64 = 0.5184`, whose root is 0.72: the mean is
# :math:`0.72 \cdot 2 = 1.44` and the variance :math:`1 - 0.5184 = 0.4816`. The code agrees:

short = DiscreteSchedule(np.array([0.19, 0.36]))
mean, variance = 2.0 * short.alpha(2), short.sigma(2) ** 2
print(f"in one step:  mean {mean:.4f}, variance {variance:.4f}")

mean, variance = 2.0, 0.0
for t in (1, 2):
    factor, added = transition(short, t - 1, t)
    mean, variance = factor * mean, factor**2 * variance + added
print(f"in two steps: mean {mean:.4f}, variance {variance:.4f}")

# %%
# Step by step, and in closed form
# --------------------------------
#
# The same for a distribution: 5,000 copies of the value 2 go through the steps of DDPM's schedule,
# each with independent noise. Their histogram after some steps (bars) should agree with the normal
# density of the closed form :eq:`marginal` (lines). The output compares mean and standard deviation
# with those of the closed form.

count, x_0 = 5_000, 2.0
particles = np.full((count, 1), x_0)
particle_key = Key(seed=1, samples=np.arange(count), stream="crowd")
moments = (20, 100, 250, 1000)

figure, panels = plt.subplots(1, 4, figsize=(9, 2.4), sharex=True, layout="constrained")
remaining_panels = iter(panels)
errors = []
grid = np.linspace(-4, 4, 401)
for t in range(1, schedule.steps + 1):
    factor, variance = transition(schedule, t - 1, t)
    particles = factor * particles + np.sqrt(variance) * particle_key.fold(t).normal((1,))
    if t in moments:
        mean, std = x_0 * schedule.alpha(t), schedule.sigma(t)
        errors.append(
            np.sqrt(count) * np.array([particles.mean() - mean, particles.std() - std]) / std
        )
        print(
            f"t = {t:4}: mean {particles.mean():6.3f} (closed form {mean:6.3f}), "
            f"standard deviation {particles.std():.3f} ({std:.3f})"
        )
        axes = next(remaining_panels)
        axes.hist(particles[:, 0], bins=40, density=True, color="#9ec3e6")
        density = np.exp(-0.5 * ((grid - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
        axes.plot(grid, density, color="#0b4f8a")
        axes.set(title=f"t = {t}", yticks=[])
plt.show()

# %%
# The differences are within the statistical error of 5,000 samples: measured in units of
# :math:`\sigma_t / \sqrt{5000}`, their standard deviations are 1 for the mean and
# :math:`1/\sqrt 2` for the standard deviation, and no difference is much larger.

print(f"largest difference: {np.abs(errors).max():.2f} standard errors")

# %%
# The closed form makes training cheap: a noisy example at any time needs one sample of the noise
# and one call of :func:`npdiff.process.marginal`.

eps = Key(seed=2, samples=[0]).normal(digit.shape[1:])
x_300 = marginal(schedule, digit, eps, 300)
print(f"at t = 300, alpha = {schedule.alpha(300):.3f} and sigma = {schedule.sigma(300):.3f}")
