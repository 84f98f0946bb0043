r"""
The same page with npdiff
=========================

The model of :ref:`sphx_glr_gallery_plot_one_page.py` again, in about ten lines of npdiff. Both
versions use the same random numbers in the same order, so their schedules, losses, parameters and
samples agree up to rounding in float64. Their formulas differ: the page has DDPM's step from t to
t - 1, npdiff has one formula for any two times s < t. So each version verifies the other.
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
# The model in ten lines
# ----------------------
#
# The page has 60 lines for the schedule, the network and its backward pass, Adam and the samplers.
# Here are the lines that replace them. A training step computes :math:`x_t`, :eq:`marginal`, the
# prediction :math:`\hat\epsilon` and the loss, :eq:`squared-error`; then the pullbacks in reverse
# order; then a step of the optimizer, :eq:`adamw`. ``Denoiser`` combines a network, a schedule and
# a prediction type, and a sampler yields one ``Step`` after the other.

schedule = linear_betas(page.T)


def training_step(network, moments, x_0, t, eps, n, rate):
    eps_hat, network_pullback = network(marginal(schedule, x_0, eps, t), t)
    loss, loss_pullback = squared_error(eps_hat, target=eps)
    gradient, _, _ = network_pullback(*loss_pullback(1.0))
    network, moments = adamw(network, gradient, moments, step=n, learning_rate=rate)
    return network, moments, loss


def sample(network, x, rng, ddim_steps=50):
    denoise = Denoiser(inference_network(network), schedule, PARAMETERIZATIONS["eps"])
    *_, of_ddpm = ddpm(denoise, schedule, x, trailing(schedule, page.T), noise=normal(rng, x.shape))
    *_, of_ddim = ddim(denoise, schedule, x, trailing(schedule, ddim_steps))
    return of_ddpm.x, of_ddim.x


# %%
# The same random numbers
# -----------------------
#
# The rest is only needed for the comparison with the page: the noise of DDPM, the initial
# parameters and the batches come from the page's random generator. ``MLP`` is the network of the
# page, and its parameters have the order of the page's theta.


def normal(rng, shape):
    """The noise of a sampler: a function of the index of the step."""
    return lambda i: rng.normal(size=shape)


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
        rate = learning_rate(n, peak=peak, steps=steps, decay="linear")
        network, moments, loss = training_step(network, moments, x_0, t, eps, n, rate)
        losses.append(loss)
    return network, losses


# %%
# Agreement
# ---------
#
# Each version trains a network from the same initial parameters and samples with it. The output is
# the largest absolute difference between the two versions. Each training step adds rounding errors,
# and the samplers propagate them.


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
