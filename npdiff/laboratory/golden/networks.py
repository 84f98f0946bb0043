"""Golden values of network layers and of the random number generator."""

from collections.abc import Iterator

import numpy as np

from npdiff import ops
from npdiff.laboratory.golden.problem import Problem, wave
from npdiff.ops._embedding import VARIANTS
from npdiff.random import Key, philox

#: Counters and keys with published results.
COUNTERS = (
    ((0, 0, 0, 0), (0, 0)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)),
)


def layers() -> Iterator[Problem]:
    """Time embeddings, normalization, convolution, attention: values and gradients."""
    t = np.array([23.0, 24.0, 25.0])
    yield Problem(
        "layer/sinusoidal",
        "Sines and cosines of t, width 64, in the three public layouts of the definition with P = "
        "10000; columns 47, 48 and 49, counting from 0.",
        {"t": t, "width": 64, "columns": [47, 48, 49]},
        {v: ops.sinusoidal(t, width=64, variant=v)[0][:, 47:50] for v in VARIANTS},
        (ops.sinusoidal,),
    )
    x, gamma, beta = wave(1.0, (2, 3, 4)), wave(2.0, (4,)), wave(3.0, (4,))
    y, pullback = ops.group_norm(x, gamma, beta, groups=2, eps=1e-5)
    yield Problem(
        "layer/group-norm",
        "x = wave(1, (2, 3, 4)): 2 samples, 3 positions, 4 channels (last). gamma = wave(2, (4)), "
        "beta = wave(3, (4)), 2 groups of neighboring channels, eps = 1e-5 added to the biased "
        "variance. The value y, and the gradients for the cotangent dy = wave(4, (2, 3, 4)).",
        {"groups": 2, "eps": 1e-5},
        {"y": y, **dict(zip(("dx", "dgamma", "dbeta"), pullback(wave(4.0, y.shape)), strict=True))},
        (ops.group_norm,),
    )
    for stride in (1, 2):
        x, w, b = wave(1.0, (1, 4, 5, 2)), wave(2.0, (3, 3, 2, 3)), wave(3.0, (3,))
        y, pullback = ops.conv(x, w, b, stride=stride, padding=1)
        gradients = pullback(wave(4.0, y.shape))
        yield Problem(
            f"layer/conv stride {stride}",
            "A convolution without flipping the kernel. x = wave(1, (1, 4, 5, 2)): sample, height, "
            "width, channels. w = wave(2, (3, 3, 2, 3)): height, width, input, output. b = wave(3, "
            f"(3)). Zero padding of width 1 on all sides, stride {stride}. The value y, and the "
            "gradients for the cotangent dy = wave(4, the shape of y).",
            {"stride": stride, "padding": 1},
            {"y": y, **dict(zip(("dx", "dw", "db"), gradients, strict=True))},
            (ops.conv,),
        )
    q, k, v = wave(1.0, (1, 3, 4)), wave(2.0, (1, 5, 4)), wave(3.0, (1, 5, 4))
    y, pullback = ops.attention(q, k, v, heads=2)
    yield Problem(
        "layer/attention",
        "q = wave(1, (1, 3, 4)), k = wave(2, (1, 5, 4)), v = wave(3, (1, 5, 4)): sample, position, "
        "features. 2 heads: the first has features 0 and 1, the second 2 and 3. The value y, and "
        "the gradients for the cotangent dy = wave(4, (1, 3, 4)).",
        {"heads": 2},
        {"y": y, **dict(zip(("dq", "dk", "dv"), pullback(wave(4.0, y.shape)), strict=True))},
        (ops.attention,),
    )


def random_numbers() -> Iterator[Problem]:
    """Published results of the generator, and draws from a key."""
    words = [
        [int(w) for w in philox([np.uint64(c) for c in counter], key)] for counter, key in COUNTERS
    ]
    yield Problem(
        "random/philox",
        "Philox 4x32-10: the four output words for each counter and key, as integers. The "
        "algorithm's authors publish these results.",
        {"counters": [list(c) for c, _ in COUNTERS], "keys": [list(k) for _, k in COUNTERS]},
        {"words": words},
        (philox,),
    )
    key = Key(2**33 + 7, (0, 5), step=3, stream="noise")
    yield Problem(
        "random/draws",
        "5 draws each for samples 0 and 5 at step 3 of the stream 'noise', seed 2^33 + 7. "
        "Counter word 0 is the block (four words each), word 1 the sample, word 2 the step, word 3 "
        "the CRC-32 of the stream's name; key word 0 is the low half of the seed, word 1 the high "
        "half. uniform = (word + 1/2) / 2^32. normal: 6 uniform draws, u the first 3 and v the "
        "others; sqrt(-2 ln u) cos(2 pi v), then sqrt(-2 ln u) sin(2 pi v), the first 5 of them.",
        {"seed": 2**33 + 7, "samples": [0, 5], "step": 3, "stream": "noise", "count": 5},
        {"bits": key.bits(5), "uniform": key.uniform((5,)), "normal": key.normal((5,))},
        (philox, Key.uniform, Key.normal),
    )
