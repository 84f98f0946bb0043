"""A U-Net for sampling: all that does not depend on x is computed once and looked up after that.

A sampler asks a network at few times, known before it starts, and under conditions that stay. What
the network makes of them (the embedding of time and label, each residual block's map of it, the
keys and values of a context) is the same for every x. In a *precompute* network the maps are tables
of their outputs, and what passes through it in the place of the embedding, and of the context, is
the number of a row. Everything else is the U-Net's own, unchanged.

>>> import numpy as np
>>> from npdiff.nn import UNet
>>> unet = UNet.init(0, width=8, classes=3)
>>> labels = np.array([2, 0])
>>> network, told = precompute(unet, np.array([250.0, 500.0]), labels=labels)
>>> x, timestep = np.ones((2, 4, 4, 1), np.float32), np.full(2, 500, np.float32)
>>> (y, _), (z, _) = network(x, timestep, **told), unet(x, timestep, labels=labels)
>>> bool(np.allclose(y, z))
True
"""

from typing import Any, TypeVar

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.errors import InputError
from npdiff.nn import conditions
from npdiff.nn.attention import SpatialTransformer
from npdiff.nn.blocks import Stage
from npdiff.nn.unet import UNet
from npdiff.pullback import Cotangents, Traced, differentiable, forward_only
from npdiff.tree import Module

L = TypeVar("L")


def _nothing(*_: Array) -> Cotangents:
    """The pullback of a table, which is constant: its row has no cotangent either."""
    return None, None


class TimeTable(Module):
    """In the place of the time embedding: the first row of a clock's rows, one for each label."""

    timesteps: Array
    labels: int

    @differentiable
    def __call__(self, timestep: Array) -> Traced:
        """``timesteps`` ascend. On a device nobody looks whether a clock is one of them."""
        row = (self.timesteps < timestep[:, None]).sum(axis=1)
        if namespace(timestep) is np:
            foreign = timestep[self.timesteps.take(row, mode="clip") != timestep]
            if foreign.size:
                raise InputError(
                    f"the network is precompute for {len(self.timesteps)} times, and clock "
                    f"{foreign[0]:g} is of none of them: tabulate it as well, or ask the U-Net"
                )
        return row * self.labels, _nothing


class Numbers(Module):
    """In the place of the table of labels: labels are told as numbers of rows."""

    @differentiable
    def __call__(self, *, index: Array) -> Traced:
        return index, _nothing


class Rows(Module):
    """In the place of an affine map of the embedding: its values, a row for each embedding."""

    rows: Array

    @differentiable
    def __call__(self, e: Array) -> Traced:
        return self.rows[e], _nothing


class KVCache(Module):
    """In the place of the map of a context to keys and values: theirs, ``(contexts, M, 2 C)``."""

    rows: Array

    @differentiable
    def __call__(self, context: Array) -> Traced:
        """``context`` is ``(N, 1, 1)``: its number stands for a context."""

        def keys_and_values_pullback(_: Array) -> Cotangents:
            return None, namespace(context).zeros_like(context)

        return self.rows[context[:, 0, 0].astype(int)], keys_and_values_pullback


def precompute(
    unet: UNet,
    timesteps: np.ndarray,
    *,
    labels: Array | None = None,
    context: Array | None = None,
    mask: Array | None = None,
    keep: Array | None = None,
) -> tuple[UNet, dict[str, Array]]:
    """A network that answers as ``unet`` does at these clocks and conditions, with less work.

    Parameters
    ----------
    unet : the network; the tables are made where its weights are
    timesteps : host array of all numbers that it will be told of the time
    labels, context, mask, keep : the conditions of all samples, as ``unet`` is called with them

    Returns
    -------
    network : of the same class. Its pullback knows the cotangent of x alone
    told : the conditions to call it with, arrays of one row a sample: ``network(x, timestep, **told)``

    Raises
    ------
    InputError
        If a condition does not fit the network.
    """
    w = unet.stem.w
    xp = namespace(w)
    ticks = xp.asarray(np.unique(np.asarray(timesteps).astype(w.dtype)))
    with forward_only():
        e, told, symbols = _embeddings(unet, ticks, labels)
        c, index = _contexts(unet, context, keep)
        network = unet.replace(
            time=TimeTable(ticks, symbols),
            label=None if labels is None else Numbers(),
            null=None if unet.null is None else xp.zeros(1, dtype=w.dtype),
            down=tuple(_layer(layer, e, c) for layer in unet.down),
            middle=tuple(_layer(layer, e, c) for layer in unet.middle),
            up=tuple(_layer(layer, e, c) for layer in unet.up),
        )
    if index is not None:
        told["context"] = index
    if mask is not None:
        told["mask"] = mask if keep is None else mask | ~keep[:, None]
    return network, told


def numbers(unet: UNet, rows: int) -> int:
    """How many numbers the tables of so many embeddings hold: times one has for each label."""
    stages = (layer for layer in (*unet.down, *unet.middle, *unet.up) if isinstance(layer, Stage))
    return rows * sum(stage.res.embed.w.shape[1] for stage in stages)


def _embeddings(
    unet: UNet, ticks: Array, labels: Array | None
) -> tuple[Array, dict[str, Array], int]:
    """The activated embedding of every clock and label that occurs, and the labels by number."""
    xp, told = namespace(ticks), {}
    symbols, index = np.zeros(1, dtype=int), None
    if labels is not None:
        symbols, index = np.unique(to_host(labels), return_inverse=True)
        told["labels"] = xp.asarray(index)
    of_rows = None if labels is None else xp.asarray(np.tile(symbols, len(ticks)))
    timestep = ticks.repeat(len(symbols))
    e, _ = conditions.activated_embedding(unet.time, unet.label, timestep, labels=of_rows)
    return e, told, len(symbols)


def _contexts(
    unet: UNet, context: Array | None, keep: Array | None
) -> tuple[Array | None, Array | None]:
    """What is attended to, one context a sample or one for all, and its number for each sample."""
    if context is None:
        c = None if unet.null is None else unet.null.reshape(1, 1, -1)
        return c, None
    xp, dtype = namespace(context), unet.stem.w.dtype
    if unet.null is None or context.ndim != 3 or context.shape[2] != unet.null.shape[0]:
        expected = "none" if unet.null is None else f"(N, M, {unet.null.shape[0]})"
        raise InputError(f"the network takes context {expected}, got shape {context.shape}")
    N = context.shape[0]
    if context.dtype != dtype or N * xp.finfo(dtype).eps > 2.0:
        raise InputError(
            f"the weights are {dtype}: expected a context of that dtype, and not more samples than "
            f"it can count; got {N} samples of {context.dtype}"
        )
    c, _ = conditions.context_or_null(unet.null, context, samples=N, keep=keep)
    return c, xp.arange(N, dtype=dtype).reshape(N, 1, 1)


def _layer(layer: L, e: Array, c: Array | None) -> L:
    """A stage whose maps of the embedding and the context are tables; any other layer as it is."""
    if not isinstance(layer, Stage):
        return layer
    res, attention = layer.res, layer.attention
    changes: dict[str, Any] = {"res": res.replace(embed=Rows(res.embed(e)[0]))}
    if isinstance(attention, SpatialTransformer):
        block = attention.block
        kv = KVCache(block.cross_attention.kv(c)[0])
        cross = block.cross_attention.replace(kv=kv)
        block = block.replace(cross_attention=cross)
        changes["attention"] = attention.replace(block=block)
    return layer.replace(**changes)
