"""Attention layers: self-attention, cross-attention, and the blocks made of them."""

import numpy as np

from npdiff import ops
from npdiff.backend import Array
from npdiff.nn.layers import GroupNorm, LayerNorm, Linear
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.tree import Module


class SelfAttention(Module):
    r"""Multi-head self-attention: queries, keys and values are affine maps of x.

    .. math::
        :label: self-attention

        y = W_o\,\mathrm{attention}(W_q x + b_q,\; W_k x + b_k,\; W_v x + b_v) + b_o
    """

    qkv: Linear
    out: Linear
    heads: int

    @classmethod
    def init(
        cls, rng: np.random.Generator, channels: int, *, heads: int = 4, scale: float = 1.0
    ) -> "SelfAttention":
        """``scale`` is that of the output map; at 0 the output starts at zero."""
        qkv = Linear.init(rng, channels, 3 * channels)
        return cls(qkv, Linear.init(rng, channels, channels, scale=scale), heads)

    @differentiable
    def __call__(self, x: Array) -> Traced:
        qkv, qkv_pullback = self.qkv(x)
        parts, split_pullback = ops.split(qkv, parts=3)
        h, attention_pullback = ops.attention(*parts, heads=self.heads)
        y, out_pullback = self.out(h)

        def self_attention_pullback(dy: Array) -> Cotangents:
            dout, dh = out_pullback(dy)
            (dqkv_x,) = split_pullback(*attention_pullback(dh))
            dqkv, dx = qkv_pullback(dqkv_x)
            return self.replace(qkv=dqkv, out=dout), dx

        return y, self_attention_pullback


class CrossAttention(Module):
    r"""Multi-head cross-attention: queries from x, keys and values from a context c.

    .. math::
        :label: cross-attention

        y = W_o\,\mathrm{attention}(W_q x + b_q,\; W_k c + b_k,\; W_v c + b_v) + b_o
    """

    q: Linear
    kv: Linear
    out: Linear
    heads: int

    @classmethod
    def init(
        cls,
        rng: np.random.Generator,
        channels: int,
        context_width: int,
        *,
        heads: int = 4,
        scale: float = 1.0,
    ) -> "CrossAttention":
        """``scale`` is that of the output map."""
        q = Linear.init(rng, channels, channels)
        kv = Linear.init(rng, context_width, 2 * channels)
        return cls(q, kv, Linear.init(rng, channels, channels, scale=scale), heads)

    @differentiable
    def __call__(self, x: Array, context: Array, *, mask: Array | None = None) -> Traced:
        """``context`` is ``(N, M, context_width)``; ``mask`` ``(N, M)`` is False on padding."""
        q, q_pullback = self.q(x)
        kv, kv_pullback = self.kv(context)
        parts, split_pullback = ops.split(kv, parts=2)
        h, attention_pullback = ops.attention(q, *parts, heads=self.heads, mask=mask)
        y, out_pullback = self.out(h)

        def cross_attention_pullback(dy: Array) -> Cotangents:
            dout, dh = out_pullback(dy)
            dq_x, dk, dv = attention_pullback(dh)
            dq, dx = q_pullback(dq_x)
            dkv, dcontext = kv_pullback(*split_pullback(dk, dv))
            return self.replace(q=dq, kv=dkv, out=dout), dx, dcontext

        return y, cross_attention_pullback


class FeedForward(Module):
    r"""Two affine maps of each token with a GELU between them, in the form :eq:`gelu-tanh`.

    .. math::
        :label: feed-forward

        y = W_2\,\mathrm{gelu}(W_1 x + b_1) + b_2
    """

    first: Linear
    second: Linear

    @classmethod
    def init(cls, rng: np.random.Generator, channels: int, *, expansion: int = 4) -> "FeedForward":
        """The hidden layer has ``expansion`` times as many channels."""
        first = Linear.init(rng, channels, expansion * channels)
        return cls(first, Linear.init(rng, expansion * channels, channels))

    @differentiable
    def __call__(self, x: Array) -> Traced:
        h, first_pullback = self.first(x)
        h, gelu_pullback = ops.gelu(h, approximate=True)
        y, second_pullback = self.second(h)

        def feed_forward_pullback(dy: Array) -> Cotangents:
            dsecond, dh = second_pullback(dy)
            (dh,) = gelu_pullback(dh)
            dfirst, dx = first_pullback(dh)
            return self.replace(first=dfirst, second=dsecond), dx

        return y, feed_forward_pullback


class TransformerBlock(Module):
    r"""Self-attention, cross-attention and feed-forward, each pre-normalized and residual.

    .. math::
        :label: transformer-block

        x' = x + \mathrm{self}(\mathrm{norm}_1 x), \qquad
        x'' = x' + \mathrm{cross}(\mathrm{norm}_2 x', c), \qquad
        y = x'' + \mathrm{feed}(\mathrm{norm}_3 x'')

    Notes
    -----
    Rombach et al. 2022, section 3.3 and the appendix on the attention-based conditioning.
    """

    norm1: LayerNorm
    self_attention: SelfAttention
    norm2: LayerNorm
    cross_attention: CrossAttention
    norm3: LayerNorm
    feed_forward: FeedForward

    @classmethod
    def init(
        cls, rng: np.random.Generator, channels: int, context_width: int, *, heads: int = 4
    ) -> "TransformerBlock":
        """For tokens of width ``channels`` and a context of width ``context_width``."""
        return cls(
            LayerNorm.init(channels),
            SelfAttention.init(rng, channels, heads=heads),
            LayerNorm.init(channels),
            CrossAttention.init(rng, channels, context_width, heads=heads),
            LayerNorm.init(channels),
            FeedForward.init(rng, channels),
        )

    @differentiable
    def __call__(self, x: Array, context: Array, *, mask: Array | None = None) -> Traced:
        """``x`` is ``(N, L, C)``; context and mask as in :class:`CrossAttention`."""
        h, norm1_pullback = self.norm1(x)
        h, self_pullback = self.self_attention(h)
        x = x + h
        h, norm2_pullback = self.norm2(x)
        h, cross_pullback = self.cross_attention(h, context, mask=mask)
        x = x + h
        h, norm3_pullback = self.norm3(x)
        h, feed_pullback = self.feed_forward(h)

        def transformer_block_pullback(dy: Array) -> Cotangents:
            dfeed, dh = feed_pullback(dy)
            dnorm3, dh = norm3_pullback(dh)
            dy = dy + dh
            dcross, dh, dcontext = cross_pullback(dy)
            dnorm2, dh = norm2_pullback(dh)
            dy = dy + dh
            dself, dh = self_pullback(dy)
            dnorm1, dh = norm1_pullback(dh)
            gradient = TransformerBlock(dnorm1, dself, dnorm2, dcross, dnorm3, dfeed)
            return gradient, dy + dh, dcontext

        return x + h, transformer_block_pullback


def _tokens(x: Array) -> Array:
    """``(N, *space, C)`` as ``(N, L, C)``, a view: channels are last in both."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


class AttentionBlock(Module):
    r"""Self-attention over the positions of an image, pre-normalized and residual.

    .. math::
        :label: attention-block

        y = x + \mathrm{self}(\mathrm{norm}\,x)
    """

    norm: GroupNorm
    attention: SelfAttention

    @classmethod
    def init(cls, rng: np.random.Generator, channels: int, *, heads: int = 4) -> "AttentionBlock":
        """The output map starts at zero, so that the block starts as the identity."""
        attention = SelfAttention.init(rng, channels, heads=heads, scale=0.0)
        return cls(GroupNorm.init(channels), attention)

    @differentiable
    def __call__(self, x: Array) -> Traced:
        h, norm_pullback = self.norm(x)
        h, attention_pullback = self.attention(_tokens(h))

        def attention_block_pullback(dy: Array) -> Cotangents:
            dattention, dh = attention_pullback(_tokens(dy))
            dnorm, dx = norm_pullback(dh.reshape(dy.shape))
            return self.replace(norm=dnorm, attention=dattention), dx + dy

        return x + h.reshape(x.shape), attention_block_pullback


class SpatialTransformer(Module):
    r"""A transformer block over the positions of an image, with cross-attention to a context.

    .. math::
        :label: spatial-transformer

        y = x + W_2\,\mathrm{block}(W_1\,\mathrm{norm}\,x + b_1,\; c) + b_2
    """

    norm: GroupNorm
    inward: Linear
    block: TransformerBlock
    outward: Linear

    @classmethod
    def init(
        cls, rng: np.random.Generator, channels: int, context_width: int, *, heads: int = 4
    ) -> "SpatialTransformer":
        """The last affine map starts at zero, so that the block starts as the identity."""
        return cls(
            GroupNorm.init(channels, eps=1e-6),
            Linear.init(rng, channels, channels),
            TransformerBlock.init(rng, channels, context_width, heads=heads),
            Linear.init(rng, channels, channels, scale=0.0),
        )

    @differentiable
    def __call__(self, x: Array, context: Array, *, mask: Array | None = None) -> Traced:
        h, norm_pullback = self.norm(x)
        h, inward_pullback = self.inward(_tokens(h))
        h, block_pullback = self.block(h, context, mask=mask)
        h, outward_pullback = self.outward(h)

        def spatial_transformer_pullback(dy: Array) -> Cotangents:
            doutward, dh = outward_pullback(_tokens(dy))
            dblock, dh, dcontext = block_pullback(dh)
            dinward, dh = inward_pullback(dh)
            dnorm, dx = norm_pullback(dh.reshape(dy.shape))
            gradient = SpatialTransformer(dnorm, dinward, dblock, doutward)
            return gradient, dx + dy, dcontext

        return x + h.reshape(x.shape), spatial_transformer_pullback
