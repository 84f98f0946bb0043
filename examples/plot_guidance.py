r"""
Guidance: samples that follow a label
=====================================

Classifier-free guidance :eq:`classifier-free-guidance` evaluates a model with the label and without
it, and extrapolates along the difference. With exact denoisers in the plane we see the effect of
the guidance scale :math:`w` on the samples, without the errors of a network.
"""

import matplotlib.pyplot as plt
import numpy as np

from npdiff.exact import Gaussian, Mixture
from npdiff.guidance import classifier_free
from npdiff.random import Key
from npdiff.samplers import ddim
from npdiff.schedules import Cosine
from npdiff.spacings import trailing

# %%
# Three classes that overlap
# --------------------------
#
# Each class is a mixture of two Gaussians; the data without a label are all classes together. We
# sample from the first class.

schedule = Cosine()
classes = [
    Mixture([1, 1], [Gaussian([0.0, 1.2], 0.15), Gaussian([-0.7, 0.5], 0.15)]),
    Mixture([1, 1], [Gaussian([1.1, 0.3], 0.15), Gaussian([0.9, -0.5], 0.15)]),
    Mixture([1, 1], [Gaussian([-0.9, -0.6], 0.15), Gaussian([-0.1, -1.0], 0.15)]),
]
all_classes = Mixture([1] * 6, [part for mixture in classes for part in mixture.components])
target = classes[0]

# %%
# Sampling with w = 0, 1 and 3
# ----------------------------
#
# The same noise and the same sampler :eq:`ddim-step` with three denoisers. :math:`w = 0` ignores
# the label, :math:`w = 1` samples from the class, and :math:`w = 3` exaggerates the difference.

noise = Key(seed=0, samples=np.arange(1500)).normal((2,))
samples = {}
for w in (0, 1, 3):
    denoise = classifier_free(target.denoiser(schedule), all_classes.denoiser(schedule), w)
    for step in ddim(denoise, schedule, noise, trailing(schedule, 60)):
        x = step.x
    samples[w] = x

axis = np.linspace(-2.6, 2.6, 131)
plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
figure, panels = plt.subplots(
    1, 3, figsize=(9, 3.2), sharex=True, sharey=True, layout="constrained"
)
for axes, (w, x) in zip(panels, samples.items(), strict=True):
    for mixture, color in zip(classes, ("#0b61a8", "#b4470c", "#2e7d32"), strict=True):
        density = np.exp(mixture.log_density(schedule, plane, 0.0)).reshape(131, 131)
        axes.contour(axis, axis, density, levels=3, colors=color, linewidths=0.8)
    axes.plot(*x.T, ".", markersize=1.5, color="black", alpha=0.5)
    axes.set(title=f"w = {w}", xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
plt.show()

# %%
# What improves, and what gets worse
# ----------------------------------
#
# With guidance the samples belong to the requested class more clearly. By Bayes' rule the
# probability of the class at a point is :math:`p(c \mid x) = \tfrac13\, p(x \mid c) / p(x)`. But
# they are not distributed like the class any more. They concentrate away from the other classes,
# partly where the class has almost no data, and most of the class is never sampled. Their standard
# deviation falls.

certainty, deviation = {}, {}
truth = target.sample(Key(seed=1, samples=np.arange(1500)))
for name, x in {"the class itself": truth, **{f"w = {w}": x for w, x in samples.items()}}.items():
    log_p = target.log_density(schedule, x, 0.0) - all_classes.log_density(schedule, x, 0.0)
    certainty[name] = np.mean(np.exp(log_p) / 3)
    deviation[name] = np.sqrt(np.trace(np.cov(x.T)))
    print(
        f"{name:16}: probability of the class {certainty[name]:6.1%}, "
        f"standard deviation {deviation[name]:.2f}"
    )

# %%
# At :math:`w = 1`, without guidance, both agree with the class itself. A larger :math:`w` makes the
# class clearer and the samples less diverse; the best value depends on the purpose. Papers define
# :math:`w` differently; :func:`npdiff.guidance.classifier_free` lists the definitions.
