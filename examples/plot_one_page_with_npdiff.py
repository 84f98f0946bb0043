r"""
The same page with npdiff
=========================

The model of :ref:`sphx_glr_gallery_plot_one_page.py` again, with npdiff in place of the code on
that page. Both versions draw their random numbers from equal generators in the same order, so they
compute the same numbers: the schedule, the losses, the parameters and the samples agree up to
rounding in float64. The two versions are written in different forms: the page has DDPM's formulas
for the step from t to t - 1, npdiff has one formula for any two times s < t. Each verifies the
other.
"""

import numpy as np
import plot_one_page as page

from npdiff import tree
from npdiff.denoiser import Denoiser, inference_network
from npdiff.nn import MLP
from npdiff.ops import squared_error
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.process import marginal
from npdiff.samplers import ddim, ddpm
from npdiff.schedules import linear_betas
from npdiff.spacings import trailing
from npdiff.training.optimizer import Moments, adamw, learning_rate

# %%
# Training
# --------
#
# ``MLP`` is the network of the page, and its parameters come in the order of the page's theta. One
# training step computes :math:`x_t`, :eq:`marginal`, the prediction :math:`\hat\epsilon` and the
# loss, :eq:`squared-error`; then the pullbacks in reverse order; then a step of the optimizer,
# :eq:`adamw`.

schedule = linear_betas(page.T)


def mlp(theta):
    """npdiff's network with the parameters of the page."""
    values = iter(theta)
    network = MLP.init(0, channels=2, width=page.WIDTH, depth=page.DEPTH)
    return tree.map(lambda _: next(values), network)


def train(network, rng, steps, batch=256, peak=0.01):
    """The trained network, and the loss of every step."""
    moments, losses = Moments.zero(network), []
    for n in range(1, steps + 1):
        x_0, t = page.moons(batch, rng), rng.integers(1, page.T + 1, batch).astype(float)
        eps = rng.normal(size=x_0.shape)
        eps_hat, network_pullback = network(marginal(schedule, x_0, eps, t), t)
        loss, loss_pullback = squared_error(eps_hat, target=eps)
        gradient, _, _ = network_pullback(*loss_pullback(1.0))
        eta = learning_rate(n, peak=peak, steps=steps, decay="linear")
        network, moments = adamw(network, gradient, moments, step=n, learning_rate=eta)
        losses.append(loss)
    return network, losses


# %%
# Sampling
# --------
#
# ``Denoiser`` combines a network, a schedule and a prediction type, here ``eps``. A sampler yields
# its steps one by one; ``x`` of the last step is the sample.


def last(steps):
    """The samples: the state after a sampler's last step."""
    *_, step = steps
    return step.x


def sample(network, x, rng, ddim_steps=50):
    """Samples of DDPM and of DDIM, both from the noise x."""
    denoise = Denoiser(inference_network(network), schedule, PARAMETERIZATIONS["eps"])
    timesteps = trailing(schedule, page.T)
    from_ddpm = ddpm(denoise, schedule, x, timesteps, noise=lambda i: rng.normal(size=x.shape))
    from_ddim = ddim(denoise, schedule, x, trailing(schedule, ddim_steps))
    return last(from_ddpm), last(from_ddim)


# %%
# Agreement
# ---------
#
# Each version trains its own network from the same initial parameters and samples with it. The
# number printed is the largest absolute difference between the two versions. Every training step
# adds rounding error, and the samplers carry it on.


def run_page(steps, n):
    """The page's schedule, losses, parameters and samples."""
    rng = np.random.default_rng(0)
    theta, losses = page.train(page.initial_parameters(rng), rng, steps)
    x = rng.normal(size=(n, 2))
    samples = page.ddpm(theta, x, rng), page.ddim(theta, x, 50)
    return named(page.alpha, page.sigma, losses, theta, *samples)


def run_npdiff(steps, n):
    """The same with npdiff."""
    rng, t = np.random.default_rng(0), np.arange(page.T + 1)
    network, losses = train(mlp(page.initial_parameters(rng)), rng, steps)
    x = rng.normal(size=(n, 2))
    samples = sample(network, x, rng)
    return named(schedule.alpha(t), schedule.sigma(t), losses, tree.leaves(network), *samples)


def named(alpha, sigma, losses, parameters, from_ddpm, from_ddim):
    """The results by name, each as one array."""
    parameters = np.concatenate([p.ravel() for p in parameters])
    results = {"alpha": alpha, "sigma": sigma, "losses": np.array(losses), "parameters": parameters}
    return results | {"DDPM samples": from_ddpm, "DDIM samples": from_ddim}


def largest_differences(a, b):
    """The largest absolute difference between the two arrays of each name."""
    return {name: np.abs(a[name] - b[name]).max() for name in a}


if __name__ == "__main__":
    import matplotlib.pyplot as plt

    of_page, of_npdiff = run_page(steps=1000, n=400), run_npdiff(steps=1000, n=400)
    differences = largest_differences(of_page, of_npdiff)
    for name, difference in differences.items():
        print(f"{name:12}  largest difference {difference:.0e}")

    figure, panels = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
    for axes, name in zip(panels, ("DDPM samples", "DDIM samples"), strict=True):
        axes.plot(*of_page[name].T, "o", markersize=5, mfc="none", color="#bbbbbb", label="page")
        axes.plot(*of_npdiff[name].T, ".", markersize=2, color="#0b61a8", label="npdiff")
        axes.set(title=name, xlim=(-4, 4), ylim=(-2.4, 2.4), aspect="equal")
    panels[0].legend(frameon=False, loc="upper right")
    plt.show()
