"""The same U-Net in PyTorch with the weights of npdiff's, to compare values and times.

It uses PyTorch's own layers in PyTorch's own layout (channels first), as a PyTorch user would
write this network, so that a comparison of times or values is fair. npdiff itself does not use it.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from npdiff import nn as np_nn


def _tensor(a: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(a)))


def linear(source: np_nn.Linear) -> nn.Linear:
    """(C, F) weights become (F, C)."""
    layer = nn.Linear(*source.w.shape, bias=source.b is not None)
    layer.weight = _tensor(source.w.T)
    if source.b is not None:
        layer.bias = _tensor(source.b)
    return layer


def conv(source: np_nn.Conv) -> nn.Conv2d:
    """(K, K, C, F) weights become (F, C, K, K)."""
    k, _, c, f = source.w.shape
    layer = nn.Conv2d(c, f, k, stride=source.stride, padding=k // 2)
    layer.weight, layer.bias = _tensor(source.w.transpose(3, 2, 0, 1)), _tensor(source.b)
    return layer


def pointwise(source: np_nn.Linear) -> nn.Conv2d:
    """A linear map of channels is a convolution of one pixel here."""
    c, f = source.w.shape
    layer = nn.Conv2d(c, f, 1, bias=source.b is not None)
    layer.weight = _tensor(source.w.T[:, :, None, None])
    if source.b is not None:
        layer.bias = _tensor(source.b)
    return layer


def norm(source: np_nn.GroupNorm) -> nn.GroupNorm:
    """Gain and offset are weight and bias here."""
    layer = nn.GroupNorm(source.groups, len(source.gamma), eps=source.eps)
    layer.weight, layer.bias = _tensor(source.gamma), _tensor(source.beta)
    return layer


class Res(nn.Module):
    """A residual block, with its attention if it has one."""

    def __init__(self, source: np_nn.Stage) -> None:
        super().__init__()
        res: np_nn.ResBlock = source.res
        attention: Any = source.attention
        self.norm1, self.conv1 = norm(res.norm1), conv(res.conv1)
        self.embed = linear(res.embed)
        self.norm2, self.conv2 = norm(res.norm2), conv(res.conv2)
        self.skip = None if res.skip is None else pointwise(res.skip)
        self.adagn = res.adagn
        self.attention = None if attention is None else Attention(attention)

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        a = self.embed(e)[:, :, None, None]
        if self.adagn:
            scale, offset = a.chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + offset
        else:
            h = self.norm2(h + a)
        h = self.conv2(F.silu(h)) + (x if self.skip is None else self.skip(x))
        return h if self.attention is None else self.attention(h)


class Attention(nn.Module):
    """Self-attention over positions."""

    def __init__(self, source: np_nn.AttentionBlock) -> None:
        super().__init__()
        self.norm = norm(source.norm)
        self.qkv, self.out = pointwise(source.attention.qkv), pointwise(source.attention.out)
        self.heads = source.attention.heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        o = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(o.transpose(-1, -2).reshape(n, c, h, w))


class UNet(nn.Module):
    """An unconditional or label-conditional U-Net over two spatial axes."""

    def __init__(self, source: np_nn.UNet) -> None:
        super().__init__()
        if source.null is not None:
            raise ValueError(
                "the PyTorch U-Net has no cross-attention: use a network with context_width=None"
            )
        self.first, self.second = linear(source.time.first), linear(source.time.second)
        self.label = None
        if source.label is not None:
            self.label = nn.Embedding.from_pretrained(
                torch.from_numpy(source.label.table.copy()), freeze=False
            )
        self.patch = source.patch
        # space_to_depth orders channels (cell, channel); pixel_unshuffle (channel, cell).
        self.stem, self.head = conv(source.stem), conv(source.head)

        def layer(part: Any) -> nn.Module:
            return Res(part) if isinstance(part, np_nn.Stage) else conv(part.conv)

        self.down = nn.ModuleList(layer(part) for part in source.down)
        self.middle = nn.ModuleList(layer(part) for part in source.middle)
        self.up = nn.ModuleList(layer(part) for part in source.up)
        self.norm = norm(source.norm)

    def forward(
        self, x: torch.Tensor, timestep: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        half = self.first.in_features // 2
        omega = torch.exp(torch.arange(half).to(x) * (-math.log(10_000.0) / half))
        angle = timestep[:, None] * omega
        e = torch.cat([angle.cos(), angle.sin()], dim=1)
        e = self.second(F.silu(self.first(e)))
        if self.label is not None:
            e = e + self.label(labels)
        e = F.silu(e)
        h = self.stem(F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x)
        skips = [h]
        for part in self.down:
            h = part(h, e) if isinstance(part, Res) else part(h)
            skips.append(h)
        for part in self.middle:
            h = part(h, e)
        for part in self.up:
            if isinstance(part, Res):
                h = part(torch.cat([h, skips.pop()], dim=1), e)
            else:
                h = part(F.interpolate(h, scale_factor=2, mode="nearest"))
        h = self.head(F.silu(self.norm(h)))
        return F.pixel_shuffle(h, self.patch) if self.patch > 1 else h
