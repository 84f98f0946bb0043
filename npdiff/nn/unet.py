"""The U-Net: an encoder, a middle and a decoder with skip connections."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import Array
from npdiff.errors import InputError
from npdiff.nn import conditions
from npdiff.nn.blocks import Stage, norm_silu_conv
from npdiff.nn.layers import Conv, Downsample, Embedding, GroupNorm, TimeEmbedding, Upsample
from npdiff.pullback import Cotangents, Traced, differentiable, gradient_checkpoint
from npdiff.random import Key
from npdiff.tree import Module


class UNet(Module):
    """The U-Net of diffusion models, from (x_t, t, condition) to an image of the size of x_t.

    It has any number of spatial axes. The embedding of time and label enters every residual block;
    at the chosen levels there is self-attention, and cross-attention to a context. The label
    ``classes`` and the learned null token mean "no condition", as classifier-free guidance needs.

    Notes
    -----
    Ronneberger, Fischer and Brox, *U-Net* (2015); Ho, Jain and Abbeel, *DDPM* (2020), appendix B;
    Dhariwal and Nichol (2021); Rombach et al. (2022).
    """

    time: TimeEmbedding
    label: Embedding | None
    null: Array | None
    stem: Conv
    down: tuple[Stage | Downsample, ...]
    middle: tuple[Stage, ...]
    up: tuple[Stage | Upsample, ...]
    norm: GroupNorm
    head: Conv
    patch: int
    gradient_checkpointing: bool = False

    @classmethod
    def init(
        cls,
        seed: int,
        *,
        channels: int = 1,
        out_channels: int | None = None,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 2,
        attention: Sequence[int] = (1,),
        heads: int = 4,
        classes: int | None = None,
        context_width: int | None = None,
        patch: int = 1,
        dims: int = 2,
        adagn: bool = True,
        dropout: float = 0.0,
        time_variant: str = "adm",
        gradient_checkpointing: bool = False,
    ) -> "UNet":
        """A U-Net with random float32 weights, as NumPy arrays.

        Parameters
        ----------
        seed : seed of the weights
        channels, out_channels : of the input and the output image (equal if None)
        width : channels at the first level
        multipliers : channels of each level as multiples of ``width``; every level but the last
            ends with a downsampling by 2
        blocks : residual blocks per level of the encoder; the decoder has one more
        attention : levels with attention; level 0 has the largest image
        heads : attention heads, a divisor of the channels of those levels
        classes : number of labels, or None
        context_width : width of a context token, or None for no context
        patch : patch size: patch x ... x patch pixels become the channels of one position
        dims : number of spatial axes
        adagn : whether the embedding scales and shifts the normalized activations (AdaGN); if
            False, it is added to them
        dropout : rate inside the residual blocks, active when a key is given
        time_variant : layout of the sinusoidal features, see :eq:`sinusoidal`
        gradient_checkpointing : whether each stage saves only its inputs and runs again in the
            pullback: less memory for one more forward pass

        Raises
        ------
        InputError
            If the options do not fit each other.
        """
        levels = [width * m for m in multipliers]
        for level in (*attention, len(levels) - 1):  # the middle has attention, too
            if not 0 <= level < len(levels):
                raise InputError(
                    f"cannot put attention at level {level}: the levels are 0 to {len(levels) - 1}"
                )
            if levels[level] % heads:
                raise InputError(
                    f"{heads} heads do not divide the {levels[level]} channels of level {level}"
                )
        out_channels = channels if out_channels is None else out_channels
        rng, embedding = np.random.default_rng(seed), 4 * width

        def stage(c_in: int, c_out: int, attend: bool) -> Stage:
            return Stage.init(
                rng, c_in, c_out, embedding, attend=attend, heads=heads,
                context_width=context_width, dims=dims, adagn=adagn, dropout=dropout,
            )  # fmt: skip

        time = TimeEmbedding.init(rng, width, embedding, variant=time_variant)
        label = None if classes is None else Embedding.init(rng, classes + 1, embedding)
        null = None
        if context_width is not None:
            null = rng.standard_normal(context_width).astype(np.float32)
        stem = Conv.init(rng, channels * patch**dims, width, kernel=(3,) * dims)
        down: list[Stage | Downsample] = []
        up: list[Stage | Upsample] = []
        c, skips = width, [width]
        for i, features in enumerate(levels):
            for _ in range(blocks):
                down.append(stage(c, features, i in attention))
                c = features
                skips.append(c)
            if i + 1 < len(levels):
                down.append(Downsample.init(rng, c, dims))
                skips.append(c)
        middle = (stage(c, c, True), stage(c, c, False))
        for i, features in reversed(list(enumerate(levels))):
            for _ in range(blocks + 1):
                up.append(stage(c + skips.pop(), features, i in attention))
                c = features
            if i > 0:
                up.append(Upsample.init(rng, c, dims))
        head = Conv.init(rng, c, out_channels * patch**dims, kernel=(3,) * dims, scale=0.0)
        return cls(
            time, label, null, stem, tuple(down), middle, tuple(up), GroupNorm.init(c), head, patch,
            gradient_checkpointing,
        )  # fmt: skip

    @differentiable
    def __call__(
        self,
        x: Array,
        timestep: Array,
        context: Array | None = None,
        *,
        labels: Array | None = None,
        mask: Array | None = None,
        keep: Array | None = None,
        key: Key | None = None,
    ) -> Traced:
        """The output of the network at (x, timestep) under the conditions.

        Parameters
        ----------
        x : ``(N, *space, channels)``
        timestep : ``(N,)``, ``schedule.timestep(t)``, of the dtype of ``x``
        context : ``(N, M, context_width)``, or None for the null token in every sample
        labels : ``(N,)`` integers; the label ``classes`` is the null label, None means all null
        mask : ``(N, M)`` booleans, False on padding tokens
        keep : ``(N,)`` booleans, False where the null token replaces the context
        key : random key of the dropout masks; None switches dropout off

        Returns
        -------
        y : ``(N, *space, out_channels)``
        pullback : ``dy -> (dunet, dx, dtimestep, dcontext)``; ``dcontext`` is None without context

        Raises
        ------
        InputError
            If shapes or dtypes do not fit, or the network does not take a condition.
        """
        self._check(x, timestep, context, labels, mask, keep)
        e, embed_pullback = conditions.activated_embedding(
            self.time, self.label, timestep, labels=labels
        )
        c = context_pullback = None
        if self.null is not None:
            c, context_pullback = conditions.context_or_null(
                self.null, context, samples=x.shape[0], keep=keep
            )
        if mask is not None and keep is not None:
            mask = mask | ~keep[:, None]
        h, patch_pullback = ops.space_to_depth(x, factor=self.patch)
        h, stem_pullback = self.stem(h)
        skips, down_pullbacks = [h], []
        up_pullbacks: list[tuple[Any, Any]] = []
        wrap = gradient_checkpoint if self.gradient_checkpointing else lambda stage: stage
        for i, layer in enumerate((*self.down, *self.middle)):
            if isinstance(layer, Stage):
                stage_key = key and key.fold(f"down.{i}")
                h, layer_pullback = wrap(layer)(h, e, c, mask=mask, key=stage_key)
            else:
                h, layer_pullback = layer(h)
            down_pullbacks.append(layer_pullback)
            if i < len(self.down):
                skips.append(h)
        for i, up in enumerate(self.up):
            if isinstance(up, Stage):
                h, concat_pullback = ops.concat(h, skips.pop())
                stage_key = key and key.fold(f"up.{i}")
                h, layer_pullback = wrap(up)(h, e, c, mask=mask, key=stage_key)
                up_pullbacks.append((layer_pullback, concat_pullback))
            else:
                h, layer_pullback = up(h, size=skips[-1].shape[1:-1])
                up_pullbacks.append((layer_pullback, None))
        h, head_pullback = norm_silu_conv(self.norm, self.head, h)
        y, unpatch_pullback = ops.depth_to_space(h, factor=self.patch)

        def unet_pullback(dy: Array) -> Cotangents:  # the lines above, read from the bottom up
            (dh,) = unpatch_pullback(dy)
            dnorm, dhead, dh, *_ = head_pullback(dh)
            de, dc, dskips, layers = None, None, [], []
            for layer_pullback, concat_pullback in reversed(up_pullbacks):
                dlayer, dh, *dconditions = layer_pullback(dh)
                layers.append(dlayer)
                if concat_pullback is not None:
                    de, dc = _sum(de, dconditions[0]), _sum(dc, dconditions[1])
                    dh, dskip = concat_pullback(dh)
                    dskips.append(dskip)
            for i, layer_pullback in reversed(list(enumerate(down_pullbacks))):
                if i < len(self.down):
                    dh = dh + dskips.pop()
                dlayer, dh, *dconditions = layer_pullback(dh)
                layers.append(dlayer)
                if dconditions:
                    de, dc = _sum(de, dconditions[0]), _sum(dc, dconditions[1])
            dstem, dh = stem_pullback(dh + dskips.pop())
            (dx,) = patch_pullback(dh)
            dtime, dlabel, dtimestep = embed_pullback(de)
            dnull, dcontext = (None, None) if context_pullback is None else context_pullback(dc)
            layers.reverse()
            d, m = len(self.down), len(self.down) + len(self.middle)
            gradient = self.replace(
                time=dtime, label=dlabel, null=dnull, stem=dstem, norm=dnorm, head=dhead,
                down=tuple(layers[:d]), middle=tuple(layers[d:m]), up=tuple(layers[m:]),
            )  # fmt: skip
            return gradient, dx, dtimestep, dcontext

        return y, unet_pullback

    def _check(
        self,
        x: Array,
        timestep: Array,
        context: Array | None,
        labels: Array | None,
        mask: Array | None,
        keep: Array | None,
    ) -> None:
        w = self.stem.w
        dims = w.ndim - 2
        channels = w.shape[-2] // self.patch**dims
        if x.ndim != dims + 2 or x.shape[-1] != channels:
            raise InputError(
                f"x must have shape (N, {'size, ' * dims}{channels}), got shape {x.shape}"
            )
        conditions.check_inputs(x, w, timestep, context, labels=labels, keep=keep)
        if context is None and mask is not None:
            raise InputError("a mask was given without a context: give both, or neither")
        if context is not None and (
            self.null is None
            or context.ndim != 3
            or context.shape[::2] != (x.shape[0], self.null.shape[0])
        ):
            if self.null is None:
                raise InputError(
                    f"the network takes no context, got shape {context.shape}: omit it, or make "
                    "the network with context_width=..."
                )
            raise InputError(
                f"the context must have shape ({x.shape[0]}, M, {self.null.shape[0]}), "
                f"got shape {context.shape}"
            )


def _sum(a: Array | None, b: Array | None) -> Array | None:
    """The sum of two cotangents, either of which may be None."""
    if a is None or b is None:
        return b if a is None else a
    return a + b
