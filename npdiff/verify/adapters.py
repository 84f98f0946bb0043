r"""Adapters of samplers with other conventions for :func:`npdiff.verify.sampler`.

It calls ``sampler(denoise, schedule, x, timesteps)``. Three other conventions are common:

=================  =====================================  ==========================================
adapter            your sampler                           your model
=================  =====================================  ==========================================
:func:`in_sigma`   ``f(D, x, sigmas)``, x = x_0 + noise   ``D(x, sigma)``: the data
:func:`in_index`   ``f(eps, x, alpha_bar, indices)``      ``eps(x, i)``: the noise; i starts at 0
:func:`in_flow`    ``f(v, x, taus)``, noise at tau = 0    ``v(x, tau)``: dx/dtau
=================  =====================================  ==========================================

All three take ``to`` and ``back``, which convert an array to your framework and back: for PyTorch
``torch.from_numpy`` and ``torch.Tensor.numpy``, for JAX ``jax.numpy.asarray`` and
``numpy.asarray``. If :func:`~npdiff.verify.sampler` gives the noise, it is passed on as ``noise=``,
a function of the index of the draw.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import transition
from npdiff.schedules import Schedule

Convert = Callable[[Any], Any]


def _identity(x: Any) -> Any:
    return x


def _host(value: Any, back: Convert) -> np.ndarray:
    """A scalar or an array, of NumPy or the framework, as a host array."""
    ours = isinstance(value, int | float | np.ndarray | np.generic)
    return np.asarray(value if ours else back(value))


def _noise_option(noise: Any, to: Convert) -> dict[str, Any]:
    return {} if noise is None else {"noise": lambda i: to(noise(i))}


def in_sigma(
    sampler: Callable[..., Any], to: Convert = _identity, back: Convert = np.asarray
) -> Callable[..., Any]:
    r"""Adapt a sampler in sigma, as in EDM and k-diffusion.

    Its state is x_0 + varsigma eps with varsigma = sigma_t / alpha_t. It receives the descending
    sigmas of the timesteps; the last is 0 if the timesteps end at the data.

    Parameters
    ----------
    sampler : ``sampler(D, x, sigmas) -> x_end``; D(x, sigma) is the data, sigma a scalar or (N,)
    to, back : between NumPy and the sampler's arrays
    """

    def adapted(
        denoise: Denoise,
        schedule: Schedule,
        x: np.ndarray,
        timesteps: np.ndarray,
        *,
        noise: Any = None,
    ) -> np.ndarray:
        sigmas = np.exp(-0.5 * schedule.log_snr(timesteps))

        def time(sigma: float) -> float:
            nearest = int(np.abs(sigmas - sigma).argmin())
            if abs(sigmas[nearest] - sigma) <= 1e-6 * sigma:  # of a timestep, up to rounding
                return float(timesteps[nearest])
            return float(schedule.time_at(-2.0 * np.log(sigma)))

        def data(x: Any, sigma: Any) -> Any:
            levels = _host(sigma, back).astype(np.float64).reshape(-1)
            times = {float(level): time(float(level)) for level in np.unique(levels)}
            t = np.array([times[float(level)] for level in levels])
            at = float(t[0]) if len(times) == 1 else t
            state = _host(x, back).astype(np.float64)
            alpha = np.reshape(schedule.alpha(at), (-1, *(1,) * (state.ndim - 1)))
            return to(np.asarray(denoise(alpha * state, at)[0]))

        start, end = schedule.alpha(timesteps[0]), schedule.alpha(timesteps[-1])
        found = sampler(data, to(x / start), to(sigmas), **_noise_option(noise, to))
        return float(end) * _host(found, back)

    adapted.__name__ = getattr(sampler, "__name__", "sampler")
    return adapted


def in_index(
    sampler: Callable[..., Any],
    stride: int = 1,
    to: Convert = _identity,
    back: Convert = np.asarray,
) -> Callable[..., Any]:
    r"""Adapt a sampler on a discrete schedule given by an array of alpha-bar, as in DDPM and DDIM.

    For N steps it receives a discrete schedule of N * stride steps, ``alpha_bar[i]`` for i = 0, 1,
    ..., and the N ascending indices to visit; x is the state at the last of them. The data precede
    the first index, with alpha-bar = 1. A stride above 1 tests that it visits the given indices.

    If the timesteps end at a noisy time, x there takes the place of the data; the model's
    prediction stays exact.

    Parameters
    ----------
    sampler : ``sampler(eps, x, alpha_bar, indices) -> x_end``; eps(x, i) is the noise, i an integer
        or (N,) integers
    stride : steps of the discrete schedule for each step of the sampler
    to, back : between NumPy and the sampler's arrays

    Raises
    ------
    InputError
        In the call of the adapted sampler, if the schedule is not variance-preserving.
    """

    def adapted(
        denoise: Denoise,
        schedule: Schedule,
        x: np.ndarray,
        timesteps: np.ndarray,
        *,
        noise: Any = None,
    ) -> np.ndarray:
        end = float(timesteps[-1])
        visited = np.arange(timesteps.size - 1) * stride + stride - 1
        every = np.interp(np.arange(visited[-1] + 1), np.append(-1, visited), timesteps[::-1])
        factor, variance = transition(schedule, end, every)
        if np.abs(factor**2 + variance - 1.0).max() > 1e-9:
            raise InputError(
                f"alpha-bar describes only a variance-preserving schedule, got {schedule!r}: "
                "use one like LinearVP()"
            )

        def eps(x: Any, i: Any) -> Any:
            index = _host(i, back).astype(int).reshape(-1)
            index = index[0] if np.unique(index).size == 1 else index
            t, state = every[index], _host(x, back).astype(np.float64)
            scale = np.sqrt(variance[index]) / schedule.sigma(t)
            scale = np.reshape(scale, (-1, *(1,) * (state.ndim - 1)))
            return to(scale * denoise(state, t)[1])

        found = sampler(eps, to(x), to(factor**2), to(visited), **_noise_option(noise, to))
        return _host(found, back)

    adapted.__name__ = getattr(sampler, "__name__", "sampler")
    adapted.ends_at_data = True  # type: ignore[attr-defined]
    return adapted


def in_flow(
    sampler: Callable[..., Any], to: Convert = _identity, back: Convert = np.asarray
) -> Callable[..., Any]:
    r"""Adapt a sampler of flow matching: tau = 1 - t / t_max runs from noise, 0, to data, 1.

    Parameters
    ----------
    sampler : ``sampler(v, x, taus) -> x_end``; v(x, tau) is dx/dtau, tau a scalar or (N,)
    to, back : between NumPy and the sampler's arrays
    """

    def adapted(
        denoise: Denoise,
        schedule: Schedule,
        x: np.ndarray,
        timesteps: np.ndarray,
        *,
        noise: Any = None,
    ) -> np.ndarray:
        span = float(schedule.t_max)

        def velocity(x: Any, tau: Any) -> Any:
            t = np.unique(span * (1.0 - _host(tau, back).astype(np.float64).reshape(-1)))
            if t.size != 1:
                raise InputError(
                    f"each velocity call must be at one time, got {t.size} different times"
                )
            state, at = _host(x, back).astype(np.float64), float(np.clip(t[0], 0.0, span))
            x0_hat, eps_hat = denoise(state, at)
            alpha_dot, sigma_dot = float(schedule.alpha_dot(at)), float(schedule.sigma_dot(at))
            return to(-span * (alpha_dot * x0_hat + sigma_dot * eps_hat))

        found = sampler(velocity, to(x), to(1.0 - timesteps / span), **_noise_option(noise, to))
        return _host(found, back)

    adapted.__name__ = getattr(sampler, "__name__", "sampler")
    return adapted
