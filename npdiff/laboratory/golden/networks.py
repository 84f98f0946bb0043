"""Golden values of what networks are made of, and of the random numbers."""

from collections.abc import Iterator

import numpy as np

from npdiff import ops
from npdiff.laboratory.golden.problem import Problem, wave
from npdiff.ops._embedding import VARIANTS
from npdiff.random import Key, philox

#: Counters and keys of the published known answers.
COUNTERS = (
    ((0, 0, 0, 0), (0, 0)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)),
)


def layers() -> Iterator[Problem]:
    """Embeddings of time, normalization, convolution, attention: values and gradients."""
    t = np.array([23.0, 24.0, 25.0])
    yield Problem(
        "layer/sinusoidal",
        "Sines and cosines of t, 64 numbers each, in the three public layouts of the definition "
        "with P = 10000; columns 47, 48 and 49, counting from 0.",
        {"t": t, "width": 64, "columns": [47, 48, 49]},
        {v: ops.sinusoidal(t, width=64, variant=v)[0][:, 47:50] for v in VARIANTS},
        (ops.sinusoidal,),
    )
    x, gamma, beta = wave(1.0, (2, 3, 4)), wave(2.0, (4,)), wave(3.0, (4,))
    y, vjp = ops.group_norm(x, gamma, beta, groups=2, eps=1e-5)
    yield Problem(
        "layer/group-norm",
        "x = wave(1, (2, 3, 4)): 2 samples, 3 places, 4 channels (last). gamma = wave(2, (4)), "
        "beta = wave(3, (4)), 2 groups of neighboring channels, eps = 1e-5 added to the biased "
        "variance. The value, and the gradients where that of the value is wave(4, (2, 3, 4)).",
        {"groups": 2, "eps": 1e-5},
        {"y": y, **dict(zip(("dx", "dgamma", "dbeta"), vjp(wave(4.0, y.shape)), strict=True))},
        (ops.group_norm,),
    )
    for stride in (1, 2):
        x, w, b = wave(1.0, (1, 4, 5, 2)), wave(2.0, (3, 3, 2, 3)), wave(3.0, (3,))
        y, vjp = ops.conv(x, w, b, stride=stride, padding=1)
        gradients = vjp(wave(4.0, y.shape))
        yield Problem(
            f"layer/conv stride {stride}",
            "A convolution as networks have it (no flip). x = wave(1, (1, 4, 5, 2)): sample, "
            "height, width, channels. w = wave(2, (3, 3, 2, 3)): height, width, from, to. b = "
            f"wave(3, (3)). Zeros of width 1 on all sides, stride {stride}. The value, and the "
            "gradients where that of the value is wave(4, the shape of the value).",
            {"stride": stride, "padding": 1},
            {"y": y, **dict(zip(("dx", "dw", "db"), gradients, strict=True))},
            (ops.conv,),
        )
    q, k, v = wave(1.0, (1, 3, 4)), wave(2.0, (1, 5, 4)), wave(3.0, (1, 5, 4))
    y, vjp = ops.attention(q, k, v, heads=2)
    yield Problem(
        "layer/attention",
        "q = wave(1, (1, 3, 4)), k = wave(2, (1, 5, 4)), v = wave(3, (1, 5, 4)): sample, place, "
        "features. 2 heads: the first has features 0 and 1, the second 2 and 3. The value, and the "
        "gradients where that of the value is wave(4, (1, 3, 4)).",
        {"heads": 2},
        {"y": y, **dict(zip(("dq", "dk", "dv"), vjp(wave(4.0, y.shape)), strict=True))},
        (ops.attention,),
    )


def numbers() -> Iterator[Problem]:
    """The generator's known answers, and draws of keys."""
    words = [
        [int(w) for w in philox([np.uint64(c) for c in counter], key)] for counter, key in COUNTERS
    ]
    yield Problem(
        "random/philox",
        "Philox 4x32-10: the four output words for each counter and key, as integers. The "
        "algorithm's authors publish these answers.",
        {"counters": [list(c) for c, _ in COUNTERS], "keys": [list(k) for _, k in COUNTERS]},
        {"words": words},
        (philox,),
    )
    key = Key(2**33 + 7, (0, 5), step=3, stream="noise")
    yield Problem(
        "random/draws",
        "Draws of 5 numbers for samples 0 and 5 at step 3 of the stream 'noise', seed 2^33 + 7. "
        "Counter word 0 is the block (four words each), word 1 the sample, word 2 the step, word 3 "
        "the CRC-32 of the stream's name; key word 0 is the low half of the seed, word 1 the high "
        "half. uniform = (word + 1/2) / 2^32. normal: 6 uniform numbers, u the first 3 and v the "
        "others; sqrt(-2 ln u) cos(2 pi v), then sqrt(-2 ln u) sin(2 pi v), the first 5 of them.",
        {"seed": 2**33 + 7, "samples": [0, 5], "step": 3, "stream": "noise", "count": 5},
        {"bits": key.bits(5), "uniform": key.uniform((5,)), "normal": key.normal((5,))},
        (philox, Key.uniform, Key.normal),
    )
