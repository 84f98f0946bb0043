"""The residual block, and the U-Net stage: a residual block with optional attention."""

import numpy as np

from npdiff import ops
from npdiff.backend import Array
from npdiff.nn.attention import AttentionBlock, SpatialTransformer
from npdiff.nn.layers import Conv, GroupNorm, Linear
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.random import Key
from npdiff.tree import Module


class ResBlock(Module):
    r"""Residual block: norm, SiLU and convolution, twice, with the embedding in between.

    .. math::
        :label: residual-block

        y = W_r x + \mathrm{conv}_2\,\mathrm{drop}\,\mathrm{silu}(h'), \qquad
        h = \mathrm{conv}_1\,\mathrm{silu}(\mathrm{norm}_1\,x), \qquad
        h' = \begin{cases}
        (1 + a) \odot \mathrm{norm}_2\,h + b, \quad (a, b) = W e + w & \text{AdaGN} \\
        \mathrm{norm}_2\,(h + W e + w) & \text{otherwise}
        \end{cases}

    where :math:`W_r` is the identity if x has as many channels as y.

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
        """Maps ``channels`` to ``features``, with an embedding of width ``embedding``.

        conv2 starts at zero, so that the block starts as its skip connection.
        """
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
        """``x`` is ``(N, *space, C)``; ``e`` is SiLU of the embedding, ``(N, E)``."""
        a, embed_pullback = self.embed(e)
        scale = offset = shift = None
        if self.adagn:
            (scale, offset), split_pullback = ops.split(a, parts=2)
        else:
            shift = a
        r = x
        if self.skip is not None:
            r, skip_pullback = self.skip(x)
        h, first_pullback = norm_silu_conv(self.norm1, self.conv1, x, shift=shift)
        y, second_pullback = norm_silu_conv(
            self.norm2, self.conv2, h, scale, offset, residual=r, rate=self.dropout, key=key
        )

        def resblock_pullback(dy: Array) -> Cotangents:
            dnorm2, dconv2, dh, dscale, doffset, _, dr = second_pullback(dy)
            dnorm1, dconv1, dx, _, _, da, _ = first_pullback(dh)
            if self.adagn:
                (da,) = split_pullback(dscale, doffset)
            dembed, de = embed_pullback(da)
            dskip = None
            if self.skip is not None:
                dskip, dr = skip_pullback(dr)
            gradient = self.replace(
                norm1=dnorm1, conv1=dconv1, embed=dembed, norm2=dnorm2, conv2=dconv2, skip=dskip
            )
            return gradient, dx + dr, de

        return y, resblock_pullback


@differentiable
def norm_silu_conv(
    norm: GroupNorm,
    conv: Conv,
    x: Array,
    scale: Array | None = None,
    offset: Array | None = None,
    shift: Array | None = None,
    residual: Array | None = None,
    *,
    rate: float = 0.0,
    key: Key | None = None,
) -> Traced:
    """The fused op :eq:`norm-silu-conv` with the parameters of a norm and a convolution.

    ``dnorm, dconv, dx, dscale, doffset, dshift, dresidual = pullback(dy)``.
    """
    y, norm_silu_conv_pullback = ops.norm_silu_conv(
        x, norm.gamma, norm.beta, conv.w, conv.b, scale, offset, shift, residual,
        groups=norm.groups, eps=norm.eps, padding=conv.padding, rate=rate, key=key,
    )  # fmt: skip

    def norm_silu_conv_layers_pullback(dy: Array) -> Cotangents:
        dx, dgamma, dbeta, dw, db, *dadded = norm_silu_conv_pullback(dy)
        return norm.replace(gamma=dgamma, beta=dbeta), conv.replace(w=dw, b=db), dx, *dadded

    return y, norm_silu_conv_layers_pullback


class Stage(Module):
    """A residual block, and attention after it at some levels."""

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
        """``attend`` adds self-attention, and cross-attention if ``context_width`` is given."""
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
        """``dstage, dx, de, dcontext = pullback(dh)``; without cross-attention dcontext is None."""
        h, res_pullback = self.res(x, e, key=key)
        attention = self.attention
        if isinstance(attention, SpatialTransformer):
            h, attention_pullback = attention(h, context, mask=mask)
        elif attention is not None:
            h, attention_pullback = attention(h)

        def stage_pullback(dh: Array) -> Cotangents:
            dattention = dcontext = None
            if isinstance(attention, SpatialTransformer):
                dattention, dh, dcontext = attention_pullback(dh)
            elif attention is not None:
                dattention, dh = attention_pullback(dh)
            dres, dx, de = res_pullback(dh)
            return Stage(dres, dattention), dx, de, dcontext

        return h, stage_pullback
