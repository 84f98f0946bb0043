"""MLP: a network for points of a few dimensions, with the call signature of the U-Net."""

import numpy as np

from npdiff import ops
from npdiff.backend import Array
from npdiff.errors import InputError
from npdiff.nn import conditions
from npdiff.nn.layers import Embedding, Linear, TimeEmbedding
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.random import Key
from npdiff.tree import Module


class MLP(Module):
    r"""Residual layers of equal width; the embedding e of time and label enters each.

    .. math::
        :label: residual-layers

        h_0 = W_i x + b_i, \qquad h_{l+1} = h_l + W_l\,\mathrm{silu}(h_l + e) + b_l, \qquad
        y = W_o h_L + b_o
    """

    time: TimeEmbedding
    label: Embedding | None
    inward: Linear
    layers: tuple[Linear, ...]
    outward: Linear

    @classmethod
    def init(
        cls,
        seed: int,
        *,
        channels: int = 2,
        width: int = 128,
        depth: int = 3,
        classes: int | None = None,
    ) -> "MLP":
        """``depth`` residual layers of ``width`` features; the output map starts at zero."""
        if depth < 1:
            raise InputError(f"depth must be at least 1, got {depth}")
        rng = np.random.default_rng(seed)
        return cls(
            TimeEmbedding.init(rng, width, width),
            None if classes is None else Embedding.init(rng, classes + 1, width),
            Linear.init(rng, channels, width),
            tuple(Linear.init(rng, width, width) for _ in range(depth)),
            Linear.init(rng, width, channels, scale=0.0),
        )

    @differentiable
    def __call__(
        self, x: Array, timestep: Array, *, labels: Array | None = None, key: Key | None = None
    ) -> Traced:
        """``x`` is ``(N, channels)`` and ``timestep`` ``(N,)``.

        ``dmlp, dx, dtimestep = pullback(dy)``. Without ``labels`` every sample has the null label,
        as in the U-Net. ``key`` is not used: there is no dropout.
        """
        if x.ndim != 2 or x.shape[1] != self.inward.w.shape[0]:
            raise InputError(
                f"x must be points of shape (N, {self.inward.w.shape[0]}), got shape {x.shape}"
            )
        conditions.check_inputs(x, self.inward.w, timestep, labels=labels)
        e, embed_pullback = conditions.embed_time_and_label(
            self.time, self.label, timestep, labels=labels
        )
        h, inward_pullback = self.inward(x)
        pullbacks = []
        for layer in self.layers:
            a, silu_pullback = ops.silu(h + e)
            a, layer_pullback = layer(a)
            h = h + a
            pullbacks.append((silu_pullback, layer_pullback))
        y, outward_pullback = self.outward(h)

        def mlp_pullback(dy: Array) -> Cotangents:
            doutward, dh = outward_pullback(dy)
            dlayers, de = [], None
            for silu_pullback, layer_pullback in reversed(pullbacks):
                dlayer, da = layer_pullback(dh)
                (da,) = silu_pullback(da)
                dlayers.append(dlayer)
                dh, de = dh + da, da if de is None else de + da
            dinward, dx = inward_pullback(dh)
            dtime, dlabel, dtimestep = embed_pullback(de)
            layers = tuple(reversed(dlayers))
            return MLP(dtime, dlabel, dinward, layers, doutward), dx, dtimestep

        return y, mlp_pullback
