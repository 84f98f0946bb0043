"""The residual block, and the stage of a U-Net that is made of it."""

import numpy as np

from npdiff import ops
from npdiff.backend import Array
from npdiff.nn.attention import AttentionBlock, SpatialTransformer
from npdiff.nn.layers import Conv, GroupNorm, Linear
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.random import Key
from npdiff.tree import Module


class ResBlock(Module):
    r"""Norm, SiLU, convolution, twice; the embedding enters between; the input is added.

    .. math::
        :label: residual-block

        y = W_r x + \mathrm{conv}_2\,\mathrm{drop}\,\mathrm{silu}(h'), \qquad
        h = \mathrm{conv}_1\,\mathrm{silu}(\mathrm{norm}_1\,x), \qquad
        h' = \begin{cases}
        (1 + a) \odot \mathrm{norm}_2\,h + b, \quad (a, b) = W e + w & \text{AdaGN} \\
        \mathrm{norm}_2\,(h + W e + w) & \text{else}
        \end{cases}

    with no :math:`W_r` where x has as many channels as y.

    Notes
    -----
    Ho et al. 2020, appendix B; Dhariwal and Nichol 2021, section 3.
    """

    norm1: GroupNorm
    conv1: Conv
    embed: Linear
    norm2: GroupNorm
    conv2: Conv
    skip: Linear | None
    adagn: bool
    dropout: float

    @classmethod
    def init(
        cls,
        rng: np.random.Generator,
        channels: int,
        features: int,
        embedding: int,
        *,
        dims: int = 2,
        adagn: bool = True,
        dropout: float = 0.0,
    ) -> "ResBlock":
        """``channels`` to ``features``, given ``embedding`` numbers; conv2 starts at zero."""
        kernel = (3,) * dims
        return cls(
            GroupNorm.init(channels),
            Conv.init(rng, channels, features, kernel=kernel),
            Linear.init(rng, embedding, (2 if adagn else 1) * features),
            GroupNorm.init(features),
            Conv.init(rng, features, features, kernel=kernel, scale=0.0),
            None if channels == features else Linear.init(rng, channels, features, bias=False),
            adagn,
            dropout,
        )

    @differentiable
    def __call__(self, x: Array, e: Array, *, key: Key | None = None) -> Traced:
        """``x`` is ``(N, *space, C)``, ``e`` the activated embedding ``(N, E)``."""
        h, norm1_vjp = self.norm1(x)
        h, silu1_vjp = ops.silu(h)
        h, conv1_vjp = self.conv1(h)
        a, embed_vjp = self.embed(e)
        if self.adagn:
            h, norm2_vjp = self.norm2(h)
            parts, split_vjp = ops.split(a, parts=2)
            h, enter_vjp = ops.modulate(h, *parts)
        else:
            h, enter_vjp = ops.shift(h, a)
            h, norm2_vjp = self.norm2(h)
        h, silu2_vjp = ops.silu(h)
        h, dropout_vjp = ops.dropout(h, rate=self.dropout, key=key)
        h, conv2_vjp = self.conv2(h)
        if self.skip is not None:
            x, skip_vjp = self.skip(x)

        def resblock_pullback(dy: Array) -> Cotangents:
            dskip, dr = skip_vjp(dy) if self.skip is not None else (None, dy)
            dconv2, dh = conv2_vjp(dy)
            (dh,) = dropout_vjp(dh)
            (dh,) = silu2_vjp(dh)
            if self.adagn:
                dh, *dparts = enter_vjp(dh)
                (da,) = split_vjp(*dparts)
                dnorm2, dh = norm2_vjp(dh)
            else:
                dnorm2, dh = norm2_vjp(dh)
                dh, da = enter_vjp(dh)
            dembed, de = embed_vjp(da)
            dconv1, dh = conv1_vjp(dh)
            (dh,) = silu1_vjp(dh)
            dnorm1, dx = norm1_vjp(dh)
            dx += dr
            gradient = self.replace(
                norm1=dnorm1, conv1=dconv1, embed=dembed, norm2=dnorm2, conv2=dconv2, skip=dskip
            )
            return gradient, dx, de

        h += x
        return h, resblock_pullback


class Stage(Module):
    """A residual block and the attention that may follow it."""

    res: ResBlock
    attention: AttentionBlock | SpatialTransformer | None

    @classmethod
    def init(
        cls,
        rng: np.random.Generator,
        channels: int,
        features: int,
        embedding: int,
        *,
        attend: bool,
        heads: int = 4,
        context_width: int | None = None,
        dims: int = 2,
        adagn: bool = True,
        dropout: float = 0.0,
    ) -> "Stage":
        """With ``attend``: self-attention, and cross-attention where there is a context."""
        res = ResBlock.init(
            rng, channels, features, embedding, dims=dims, adagn=adagn, dropout=dropout
        )
        attention: AttentionBlock | SpatialTransformer | None = None
        if attend and context_width is not None:
            attention = SpatialTransformer.init(rng, features, context_width, heads=heads)
        elif attend:
            attention = AttentionBlock.init(rng, features, heads=heads)
        return cls(res, attention)

    @differentiable
    def __call__(
        self,
        x: Array,
        e: Array,
        context: Array | None = None,
        *,
        mask: Array | None = None,
        key: Key | None = None,
    ) -> Traced:
        """The pullback's cotangent of the context is None where nothing attends to it."""
        h, res_vjp = self.res(x, e, key=key)
        attention = self.attention
        if isinstance(attention, SpatialTransformer):
            h, attention_vjp = attention(h, context, mask=mask)
        elif attention is not None:
            h, attention_vjp = attention(h)

        def stage_pullback(dh: Array) -> Cotangents:
            dattention = dcontext = None
            if isinstance(attention, SpatialTransformer):
                dattention, dh, dcontext = attention_vjp(dh)
            elif attention is not None:
                dattention, dh = attention_vjp(dh)
            dres, dx, de = res_vjp(dh)
            return Stage(dres, dattention), dx, de, dcontext

        return h, stage_pullback
