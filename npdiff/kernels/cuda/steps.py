"""A training step and a DDIM step whose arrays keep their addresses, so that each can be a graph.

Schedules and parameterizations are evaluated on the host; a step needs only a few scalars of them
for each sample.
"""

import math
from typing import Any

import numpy as np

from npdiff import ops, tree
from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.kernels.cuda import adamw, noise
from npdiff.kernels.cuda.device import device_of
from npdiff.kernels.cuda.graph import GraphedFunction
from npdiff.kernels.vectors import Vectors
from npdiff.pullback import forward_only


class TrainingStep:
    r"""Noise, network, loss, pullback, clipping, AdamW, moving average: all on the device.

    The network's input is :math:`x_t = \alpha x_0 + \sigma \epsilon`, its target
    :math:`a x_0 + b \epsilon`, and each sample has a weight, which covers every schedule and every
    parameterization.

    Parameters
    ----------
    model : a tree whose leaves are views into ``state.model``
    gradient, total : a tree of views into a flat array, and this array
    state : flat arrays on the device, written to by every step
    shape : ``(N, *space, C)`` of a batch
    decayed : the number of elements that weight decay applies to; they come first
    labeled : whether the network receives labels
    seed : the seed of the noise, drawn from ``Key(seed, 0 .. N - 1, step, "train/noise")``
    betas, eps, weight_decay : AdamW's parameters
    limit : the largest norm of the gradient; a larger gradient is scaled down to it
    cuda : see :class:`~npdiff.kernels.cuda.graph.GraphedFunction`

    Raises
    ------
    InputError
        If the arrays are not on a GPU.
    """

    def __init__(
        self,
        model: Any,
        gradient: Any,
        total: Array,
        state: Vectors,
        shape: tuple[int, ...],
        *,
        decayed: int,
        labeled: bool = False,
        seed: int = 0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        limit: float = math.inf,
        cuda: Any = None,
    ) -> None:
        self.model, self.state, self._gradient, self._total = model, state, gradient, total
        self._labeled, self._seed, self._limit = labeled, seed, limit
        self._betas, self._adam_eps = betas, eps
        self._decayed, self._weight_decay = decayed, weight_decay
        device = device_of(total)
        if device is None:
            raise InputError(
                f"a TrainingStep needs float32 or float64 arrays on a GPU, got {type(total)}: "
                "use the training loop on a CPU"
            )
        self._device = device
        xp, dtype, N = namespace(total), total.dtype, shape[0]
        self._eps = xp.empty(shape, dtype=dtype)
        self._samples = xp.arange(N, dtype=xp.uint64)
        per_sample = ("timestep", "alpha", "sigma", "a", "b", "weight")
        self.inputs = {name: xp.zeros(N, dtype=dtype) for name in per_sample}
        self.inputs["x_0"] = xp.zeros(shape, dtype=dtype)
        self.inputs["labels"] = xp.zeros(N, dtype=xp.int64)
        self.inputs["step"] = xp.zeros((), dtype=xp.uint32)
        self.inputs["scalars"] = xp.zeros(4, dtype=xp.float64)
        self._step = GraphedFunction(self._run, self.inputs, cuda=cuda)

    @property
    def captured(self) -> bool:
        """Whether the step has been recorded, so that calls launch the graph."""
        return self._step.captured

    def __call__(
        self, step: int, *, learning_rate: float, average_decay: float, **batch: Any
    ) -> tuple[Array, Array]:
        """Step number ``step``, from 1.

        Parameters
        ----------
        step : number of the step; AdamW's bias correction and the noise depend on it
        learning_rate, average_decay : values for this step
        batch : ``x_0``, ``timestep``, ``alpha``, ``sigma``, ``a``, ``b``, ``weight``, ``labels``;
            inputs that are not given keep their values

        Returns
        -------
        loss, norm : 0-d arrays on the device, overwritten by the next step
        """
        scalars = adamw.step_scalars(
            step, learning_rate=learning_rate, betas=self._betas, average_decay=average_decay
        )
        return self._step(step=np.uint32(step), scalars=scalars, **batch)

    def _run(self) -> tuple[Array, Array]:
        of, xp = self.inputs, namespace(self._total)
        column = (-1, *(1,) * (self._eps.ndim - 1))
        alpha, sigma, a, b = (of[name].reshape(column) for name in ("alpha", "sigma", "a", "b"))
        noise.fill_normal(
            self._eps, self._samples, of["step"], seed=self._seed, stream="train/noise"
        )
        x_0, eps = of["x_0"], self._eps
        labels = {"labels": of["labels"]} if self._labeled else {}
        y, model_pullback = self.model(alpha * x_0 + sigma * eps, of["timestep"], **labels)
        loss, loss_pullback = ops.squared_error(y, target=a * x_0 + b * eps, weight=of["weight"])
        dmodel = model_pullback(*loss_pullback(1.0))[0]
        for target, leaf in zip(tree.leaves(self._gradient), tree.leaves(dmodel), strict=True):
            target[...] = leaf
        norm = xp.sqrt(xp.sum(xp.square(self._total, dtype=xp.float64)))
        clip_factor = xp.minimum(self._limit / norm, 1.0)
        adamw.launch(
            self._device,
            *(self.state, self._total, self.state, of["scalars"], clip_factor),
            decayed=self._decayed,
            betas=self._betas,
            eps=self._adam_eps,
            weight_decay=self._weight_decay,
        )
        return loss, norm


class SamplingStep:
    r"""One step of DDIM with eta = 0, in place, guided or not.

    .. math::

        \hat x_0 = \mathrm{clip}(p\,x + q\,y), \qquad x \leftarrow r\,x + s\,\hat x_0

    with the network's output y and four scalars that depend on schedule and parameterization.

    Parameters
    ----------
    model : called as ``model(x, timestep, labels=...)``
    x : ``(N, ...)`` on the device: the initial noise, overwritten by every step
    labels, null : ``(N,)`` on the device, or None; with both, classifier-free guidance is used
    guidance : the guidance scale w
    clip : whether estimates of x_0 are clipped to [-1, 1]
    cuda : see :class:`~npdiff.kernels.cuda.graph.GraphedFunction`
    """

    def __init__(
        self,
        model: Any,
        x: Array,
        labels: Array | None = None,
        null: Array | None = None,
        *,
        guidance: float = 1.0,
        clip: bool = True,
        cuda: Any = None,
    ) -> None:
        xp = namespace(x)
        self.model, self.x, self._guidance, self._clip = model, x, guidance, clip
        self._guided = labels is not None and null is not None
        if labels is not None and null is not None:
            labels = xp.concatenate([labels, null])
        self._labels = {} if labels is None else {"labels": labels}
        rows = x.shape[0] * (2 if self._guided else 1)
        self.inputs = {"timestep": xp.zeros(rows, dtype=x.dtype), "x": x}
        self.inputs |= {name: xp.zeros((), dtype=x.dtype) for name in "pqrs"}
        self._step = GraphedFunction(self._run, self.inputs, cuda=cuda)

    @property
    def captured(self) -> bool:
        """Whether the step has been recorded, so that calls launch the graph."""
        return self._step.captured

    def __call__(self, timestep: float, **coefficients: float) -> Array:
        """One step at the same timestep for all samples, given p, q, r and s; overwrites ``x``."""
        rows = self.inputs["timestep"].shape
        return self._step(timestep=np.full(rows, timestep), **coefficients)

    def _run(self) -> Array:
        xp, x, of = namespace(self.x), self.x, self.inputs
        both = xp.concatenate([x, x]) if self._guided else x
        with forward_only():
            y, _ = self.model(both, of["timestep"], **self._labels)
        if self._guided:
            with_label, without = y[: x.shape[0]], y[x.shape[0] :]
            y = without + self._guidance * (with_label - without)
        x_0 = of["p"] * x + of["q"] * y
        if self._clip:
            x_0 = xp.clip(x_0, -1.0, 1.0)
        x[...] = of["r"] * x + of["s"] * x_0
        return x
