r"""
A diffusion model on one page
=============================

A complete diffusion model in NumPy, for points in the plane: schedule, network, training, samplers.
"""

import numpy as np

T, WIDTH, DEPTH = 1000, 64, 5  # number of time steps; width and number of the hidden layers

# %%
# The forward process mixes data with noise, :math:`x_t = \alpha_t x_0 + \sigma_t \epsilon`, with
# :math:`\alpha_t^2 = \bar\alpha_t = \prod_{s \le t} (1 - \beta_s)` and
# :math:`\sigma_t^2 = 1 - \bar\alpha_t` (Ho et al. 2020, Eq. 4). At t = 0 there is no noise.

beta = np.concatenate([[0.0], np.linspace(1e-4, 0.02, T)])  # beta[t] is the paper's beta_t
alpha_bar = np.cumprod(1.0 - beta)
alpha, sigma = np.sqrt(alpha_bar), np.sqrt(1.0 - alpha_bar)


def moons(n, rng):
    """The data x_0, shape (n, 2): n points on two half circles, plus a little noise."""
    angle, side = rng.uniform(0.0, np.pi, n), rng.choice([-2.0, 2.0], (n, 1))
    x_0 = side * (np.stack([np.cos(angle), np.sin(angle)], axis=1) - [0.5, 0.25])
    return x_0 + 0.15 * rng.normal(size=(n, 2))


# %%
# The network predicts the noise, :math:`\hat\epsilon = \epsilon_\theta(x_t, t)`. The backward pass
# is the chain rule. With a bar for the gradient of the loss, a linear layer :math:`y = a W + b` has
# :math:`\bar a = \bar y W^\top`, :math:`\bar W = a^\top \bar y`, :math:`\bar b = \sum_n \bar y_n`.
def initial_parameters(rng):
    """theta = [W_0, b_0, W_1, b_1, ...]: layers 0, 1 for t, 2 for x_t, hidden, output."""
    shapes = [(WIDTH, WIDTH)] * 2 + [(2, WIDTH)] + [(WIDTH, WIDTH)] * DEPTH + [(WIDTH, 2)]
    weights = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in shapes]
    weights[-1] *= 0.0  # so the untrained network predicts 0
    return [p for W in weights for p in (W, np.zeros(W.shape[1]))]


def silu(z):
    """The activation silu(z) = z sigmoid(z), and its derivative."""
    s = 1.0 / (1.0 + np.exp(-z))
    return z * s, s * (1.0 + z * (1.0 - s))


def mlp(theta, x_t, t):
    """The prediction eps_hat (n, 2) from x_t (n, 2) and t (n,), and the backward pass."""
    W, b = theta[0::2], theta[1::2]
    angle = t[:, None] * 10_000.0 ** (-np.arange(WIDTH // 2) / (WIDTH // 2))
    a, slope = {2: x_t}, {}  # a[i]: input of layer i; slope[i]: silu' that made it
    a[0] = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    a[1], slope[1] = silu(a[0] @ W[0] + b[0])
    e, h = a[1] @ W[1] + b[1], a[2] @ W[2] + b[2]  # e is the time embedding
    for i in range(3, 3 + DEPTH):
        a[i], slope[i] = silu(h + e)
        h = h + a[i] @ W[i] + b[i]
    a[3 + DEPTH] = h

    def backward(d_eps_hat):
        dy, dh, de = {3 + DEPTH: d_eps_hat}, d_eps_hat @ W[-1].T, 0.0  # dy[i]: output of i
        for i in reversed(range(3, 3 + DEPTH)):
            dy[i], dz = dh, slope[i] * (dh @ W[i].T)
            dh, de = dh + dz, de + dz
        dy[2], dy[1], dy[0] = dh, de, slope[1] * (de @ W[1].T)
        return [g for i in range(len(W)) for g in (a[i].T @ dy[i], dy[i].sum(axis=0))]

    return h @ W[-1] + b[-1], backward


# %%
# Training minimizes :math:`L_\text{simple}`, the mean of :math:`(\epsilon_\theta - \epsilon)^2` (Ho
# et al. 2020, Algorithm 1), with Adam. A sampler goes from noise to data. DDPM adds noise at each
# step (Algorithm 2); DDIM adds none and needs fewer steps (Song, Meng and Ermon 2021, Eq. 12).
def train(theta, rng, steps, batch=256, learning_rate=0.01):
    """The trained parameters, and the loss of every step."""
    theta, m, v, losses = list(theta), [0.0] * len(theta), [0.0] * len(theta), []
    for n in range(1, steps + 1):
        x_0, t, eps = moons(batch, rng), rng.integers(1, T + 1, batch), rng.normal(size=(batch, 2))
        eps_hat, backward = mlp(theta, alpha[t, None] * x_0 + sigma[t, None] * eps, t)
        losses.append(np.mean((eps_hat - eps) ** 2))
        eta = learning_rate * (1.0 - (n - 1) / steps)  # linear decay
        for k, g in enumerate(backward(2.0 * (eps_hat - eps) / eps.size)):
            m[k], v[k] = 0.9 * m[k] + 0.1 * g, 0.999 * v[k] + 0.001 * g**2
            m_hat, v_hat = m[k] / (1.0 - 0.9**n), v[k] / (1.0 - 0.999**n)
            theta[k] = theta[k] - eta * m_hat / (np.sqrt(v_hat) + 1e-8)
    return theta, losses


def ddpm(theta, x, rng):
    for t in range(T, 0, -1):
        eps_hat, _ = mlp(theta, x, np.full(len(x), t))
        mean = (x - beta[t] / sigma[t] * eps_hat) / np.sqrt(1.0 - beta[t])
        x = mean + np.sqrt(beta[t]) * sigma[t - 1] / sigma[t] * rng.normal(size=x.shape)
    return x


def ddim(theta, x, steps):
    for t in range(T, 0, -(T // steps)):  # steps must divide T
        eps_hat, _ = mlp(theta, x, np.full(len(x), t))
        x0_hat, s = (x - sigma[t] * eps_hat) / alpha[t], t - T // steps
        x = alpha[s] * x0_hat + sigma[s] * eps_hat
    return x


def distance(x, y):
    """Mean distance from a point of either set to the nearest point of the other set."""
    d = np.linalg.norm(x[:, None] - y, axis=-1)
    return 0.5 * (d.min(axis=0).mean() + d.min(axis=1).mean())


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    theta, losses = train(initial_parameters(rng), rng, steps=4000)
    noise, data, new_data = rng.normal(size=(1000, 2)), moons(1000, rng), moons(1000, rng)
    samples = {"DDPM": ddpm(theta, noise, rng), "DDIM, 50 steps": ddim(theta, noise, 50)}
    print(f"loss: first 100 steps {np.mean(losses[:100]):.3f}, last {np.mean(losses[-100:]):.3f}")
    for name, x in {"noise": noise, "new data": new_data, **samples}.items():
        print(f"{name:14}  distance to the data {distance(x, data):.3f}")

    import matplotlib.pyplot as plt  # only for the figure

    figure, panels = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")
    for axes, (name, x) in zip(panels, {"data": data, **samples}.items(), strict=True):
        axes.plot(*x.T, ".", markersize=2, color="#0b61a8")
        axes.set(title=name, xlim=(-4, 4), ylim=(-2.4, 2.4), aspect="equal")
    plt.show()
