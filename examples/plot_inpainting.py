r"""
Inpainting: do the two parts of the image fit together?
=======================================================

Half of an image is known, and a model generates the other half. The simplest method is
*replacement*, :eq:`replacement`: sample as usual, and after every step replace the known half by
the given image with noise. The result contains the known half, but the two halves may not fit
together. RePaint repeats each step several times: it adds noise to the state, :eq:`renoising`, and
takes the step again. For Gaussian data the correct result is a formula, :eq:`gaussian-conditional`,
so the error of each method can be measured.
"""

import matplotlib.pyplot as plt
import numpy as np

from npdiff import data, editing, generation, report
from npdiff.exact import Gaussian, Mixture
from npdiff.random import Key
from npdiff.runtime import ThreadPool
from npdiff.samplers import keyed_noise
from npdiff.schedules import LinearVP
from npdiff.spacings import log_snr, trailing

# %%
# The error for Gaussian data
# ---------------------------
#
# The data are pairs with a correlation of 0.8, and the first element is known to be 2. Here each
# step of inpainting is affine, so with all noise set to 0 the result is the mean of the samples. No
# random samples are needed to measure it.


def inpainted(denoise, schedule, x, timesteps, **options):
    """The last state of :func:`npdiff.editing.repaint`."""
    for step in editing.repaint(denoise, schedule, x, timesteps, **options):
        x = step.x
    return x


schedule, known = LinearVP(), np.array([True, False])
pair = Gaussian([0.5, -0.3], [[1.0, 0.48], [0.48, 0.36]])
truth = pair.conditional(known, 2.0).mean[0]
counts, means = [1, 2, 4, 8, 16], []
zero = np.zeros((1, 2))
options = {"known": np.array([[2.0, 0.0]]), "mask": known, "noise": lambda i: zero, "jump": 1}
for count in counts:
    timesteps = log_snr(schedule, 30)
    x = inpainted(pair.denoiser(schedule), schedule, zero, timesteps, resamplings=count, **options)
    means.append(x[0, 1])
    print(f"each step {count:2} times: mean {x[0, 1]:.4f}, correct {truth:.4f}")

error = np.abs(np.array(means) - truth)
figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
axes.loglog(counts, error, "o-", label="RePaint; at r = 1, replacement")
axes.loglog(counts, error[-1] * counts[-1] / np.array(counts), ":", color="0.5", label="1 / r")
axes.set(xlabel="number of times each step is taken, r", ylabel="error of the mean")
axes.legend(frameon=False)
plt.show()

# %%
# Replacement has a large error. Twice as many repetitions halve the error and double the cost,
# :eq:`resampling-cost`.
#
# The error for two clusters
# --------------------------
#
# The data are two clusters on a diagonal. The known first element makes the upper cluster 1800
# times more probable than the lower one. Still, after replacement a fifth of the samples are in the
# lower cluster.

clusters = Mixture([1, 1], [Gaussian([0.5, 0.5], 0.04), Gaussian([-0.5, -0.5], 0.04)])
key = Key(seed=1, samples=range(600))
start = key.fold("start").normal((2,))
options = {"known": np.tile([0.3, 0.0], (600, 1)), "mask": known, "jump": 1}
options["noise"] = keyed_noise(key, start)
correct, ends = {}, {}
for count in (1, 4, 16):
    timesteps = log_snr(schedule, 20)
    x = inpainted(
        clusters.denoiser(schedule), schedule, start, timesteps, resamplings=count, **options
    )
    ends[count] = x[:, 1]
    correct[count] = np.mean(ends[count] > 0)

figure, panels = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")
for axes, (count, x) in zip(panels, ends.items(), strict=True):
    axes.hist(x, bins=np.linspace(-1.2, 1.2, 49), density=True, color="#9ec3e6")
    axis = np.linspace(-1.2, 1.2, 200)
    axes.plot(axis, np.exp(-((axis - 0.5) ** 2) / 0.08) / np.sqrt(0.08 * np.pi), color="#0b4f8a")
    axes.set(
        title=f"r = {count}: {correct[count]:.0%} in the upper cluster", xlabel="second element"
    )
plt.show()

# %%
# Digits
# ------
#
# The same with the model that ships with npdiff, which generates the upper half of three digits.
# From left to right: the digit, its known half, two results of replacement and two of RePaint.

checkpoint = generation.load()
images = data.load("digits", "test")
config = generation.SamplingConfig(steps=16)
digits, labels = images.images[:3], np.repeat(images.labels[:3], 2)
mask = np.zeros((32, 32, 1), dtype=bool)
mask[16:] = True

model_schedule = checkpoint.schedule
timesteps = trailing(model_schedule, config.steps)
key = Key(seed=2, samples=range(6))
start = generation.start(key, model_schedule, checkpoint, timesteps[0], np)
options = {"known": data.to_float(np.repeat(digits, 2, axis=0)), "mask": mask, "jump": 4}
options["noise"] = keyed_noise(key.fold("move"), start)
columns = [digits[:, None], np.where(mask, digits, 128)[:, None].astype(np.uint8)]
with ThreadPool() as workers:
    denoise = generation.denoiser(checkpoint, labels, config, model_schedule, workers=workers)
    for count in (1, 4):
        x = inpainted(denoise, model_schedule, start, timesteps, resamplings=count, **options)
        columns.append(report.to_uint8(x).reshape(3, 2, 32, 32, 1))

rows = np.concatenate(columns, axis=1)
sheet = report.image_grid(rows.reshape(-1, 32, 32, 1), columns=6, scale=3)
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.imshow(sheet[..., 0], cmap="gray")
axes.axis("off")
plt.show()
