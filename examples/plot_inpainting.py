r"""
Inpainting: do the parts know of each other?
============================================

Half of an image is there, the other half is to be found. The plain idea is *replacement*,
:eq:`replacement`: sample as always, and after every step put the known half back, as noisy as the
state is. It ends with the known half in its place, but the found half was made beside a noisy
stranger. RePaint lets the two meet more often: it makes the state noisier again, :eq:`renoising`,
and takes the step anew. For Gaussian data the right answer is a formula,
:eq:`gaussian-conditional`, so one can see how far each of them is from it.
"""

import matplotlib.pyplot as plt
import numpy as np

from npdiff import data, editing, generation, report
from npdiff.exact import Gaussian, Mixture
from npdiff.random import Key
from npdiff.runtime import ThreadPool
from npdiff.samplers import keyed_noise
from npdiff.schedules import SCHEDULES, LinearVP
from npdiff.spacings import log_snr, trailing

# %%
# How much is missing
# -------------------
#
# Two numbers with a correlation of 0.8, the first of which is known to be 2. Each step of
# inpainting is affine here, so if all noise is set to 0, what comes out is the mean of what would
# come out otherwise: no draws are needed to measure it.


def painted(denoise, schedule, x, timesteps, **how):
    """The last state of :func:`npdiff.editing.repaint`."""
    for step in editing.repaint(denoise, schedule, x, timesteps, **how):
        x = step.x
    return x


schedule, known = LinearVP(), np.array([True, False])
pair = Gaussian([0.5, -0.3], [[1.0, 0.48], [0.48, 0.36]])
truth = pair.given(known, 2.0).mean[0]
rounds, found = [1, 2, 4, 8, 16], []
zero = np.zeros((1, 2))
still = {"known": np.array([[2.0, 0.0]]), "mask": known, "noise": lambda i: zero, "jump": 1}
for count in rounds:
    timesteps = log_snr(schedule, 30)
    x = painted(pair.denoiser(schedule), schedule, zero, timesteps, resamplings=count, **still)
    found.append(x[0, 1])
    print(f"{count:2} times: mean {x[0, 1]:.4f}, of {truth:.4f} that it should be")

missing = np.abs(np.array(found) - truth)
figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
axes.loglog(rounds, missing, "o-", label="RePaint; at 1, replacement")
axes.loglog(rounds, missing[-1] * rounds[-1] / np.array(rounds), ":", color="0.5", label="1 / r")
axes.set(xlabel="how often each step is taken, r", ylabel="error of the mean")
axes.legend(frameon=False)
plt.show()

# %%
# Replacement misses a quarter of what the known number says. Twice as many rounds leave half of the
# error, and cost twice as much :eq:`resampling-cost`.
#
# What is found beside what is known
# ----------------------------------
#
# Two clouds on a diagonal, and a first number that speaks for the upper one, 1800 to 1. After
# replacement a fifth of the samples lie in the other cloud all the same.

clouds = Mixture([1, 1], [Gaussian([0.5, 0.5], 0.04), Gaussian([-0.5, -0.5], 0.04)])
key = Key(seed=1, samples=range(600))
start = key.fold("start").normal((2,))
drawn = {"known": np.tile([0.3, 0.0], (600, 1)), "mask": known, "jump": 1}
drawn["noise"] = keyed_noise(key, start)
right, ends = {}, {}
for count in (1, 4, 16):
    timesteps = log_snr(schedule, 20)
    x = painted(clouds.denoiser(schedule), schedule, start, timesteps, resamplings=count, **drawn)
    ends[count] = x[:, 1]
    right[count] = np.mean(ends[count] > 0)

figure, panels = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")
for axes, (count, x) in zip(panels, ends.items(), strict=True):
    axes.hist(x, bins=np.linspace(-1.2, 1.2, 49), density=True, color="#9ec3e6")
    axis = np.linspace(-1.2, 1.2, 200)
    axes.plot(axis, np.exp(-((axis - 0.5) ** 2) / 0.08) / np.sqrt(0.08 * np.pi), color="#0b4f8a")
    axes.set(title=f"r = {count}: {right[count]:.0%} in the right cloud", xlabel="second number")
plt.show()

# %%
# Digits
# ------
#
# The same with the model that ships with npdiff: the upper half of three digits, found anew. At
# the left the digit, then what is known of it, then two results by replacement and two by RePaint.

checkpoint = generation.load()
images = data.load("digits", "test")
settings = generation.SamplingConfig(steps=16)
digits, labels = images.images[:3], np.repeat(images.labels[:3], 2)
mask = np.zeros((32, 32, 1), dtype=bool)
mask[16:] = True

chain = SCHEDULES[checkpoint.config.schedule]()
timesteps = trailing(chain, settings.steps)
key = Key(seed=2, samples=range(6))
start = generation.start(key, chain, checkpoint, timesteps[0], np)
image = {"known": data.to_float(np.repeat(digits, 2, axis=0)), "mask": mask, "jump": 4}
image["noise"] = keyed_noise(key.fold("move"), start)
columns = [digits[:, None], np.where(mask, digits, 128)[:, None].astype(np.uint8)]
with ThreadPool() as workers:
    denoise = generation.denoiser(checkpoint, labels, settings, chain, workers=workers)
    for count in (1, 4):
        x = painted(denoise, chain, start, timesteps, resamplings=count, **image)
        columns.append(report.to_uint8(x).reshape(3, 2, 32, 32, 1))

rows = np.concatenate(columns, axis=1)
sheet = report.image_grid(rows.reshape(-1, 32, 32, 1), columns=6, scale=3)
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.imshow(sheet[..., 0], cmap="gray")
axes.axis("off")
plt.show()
