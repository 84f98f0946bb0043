r"""
Guidance: leaning towards a label
=================================

Classifier-free guidance :eq:`classifier-free-guidance` asks a model twice, with the label and
without, and goes further along the difference. With exact denoisers in the plane one sees what
:math:`w` does to the samples, and what it costs, with no network between.
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
# Each class is a mixture of two Gaussians; all classes together are the data without a label. We
# ask for the first.

schedule = Cosine()
classes = [
    Mixture([1, 1], [Gaussian([0.0, 1.2], 0.15), Gaussian([-0.7, 0.5], 0.15)]),
    Mixture([1, 1], [Gaussian([1.1, 0.3], 0.15), Gaussian([0.9, -0.5], 0.15)]),
    Mixture([1, 1], [Gaussian([-0.9, -0.6], 0.15), Gaussian([-0.1, -1.0], 0.15)]),
]
everything = Mixture([1] * 6, [part for mixture in classes for part in mixture.components])
wanted = classes[0]

# %%
# Sampling with w = 0, 1 and 3
# ----------------------------
#
# The same noise, the same sampler :eq:`ddim-step`, three denoisers. With :math:`w = 0` the label is
# ignored, with :math:`w = 1` it is obeyed, with :math:`w = 3` overdone.

noise = Key(seed=0, samples=np.arange(1500)).normal((2,))
samples = {}
for w in (0, 1, 3):
    denoise = classifier_free(wanted.denoiser(schedule), everything.denoiser(schedule), w)
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
# What is won, and what is lost
# -----------------------------
#
# Won: the samples are more clearly of the class that was asked for. By Bayes' rule its probability
# at a point is known, here :math:`p(c \mid x) = \tfrac13\, p(x \mid c) / p(x)`. Lost: they are no
# longer samples of the class. They crowd together, away from its neighbors, in part where the
# class itself has hardly any data; most of what it has is never drawn. Their standard deviation
# falls.

certainty, spread = {}, {}
truth = wanted.sample(Key(seed=1, samples=np.arange(1500)))
for name, x in {"the class itself": truth, **{f"w = {w}": x for w, x in samples.items()}}.items():
    log_p = wanted.log_density(schedule, x, 0.0) - everything.log_density(schedule, x, 0.0)
    certainty[name] = np.mean(np.exp(log_p) / 3)
    spread[name] = np.sqrt(np.trace(np.cov(x.T)))
    print(f"{name:16}: of the class {certainty[name]:6.1%}, standard deviation {spread[name]:.2f}")

# %%
# At :math:`w = 1` both agree with the class itself: that is no guidance at all. A larger :math:`w`
# trades variety for clarity, and there is no right value, only a taste. What a value of :math:`w`
# means differs between papers; :func:`npdiff.guidance.classifier_free` says how.
