"""Densities and bytes: noise that fills the bins, and what a density is worth in bits."""

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.objective.bound import bits_per_dim
from npdiff.random import Key

#: The width of a bin where bytes are the numbers b / 127.5 - 1.
BIN = 1.0 / 127.5


def dequantized(images: Array, key: Key, dtype: object = np.float32) -> Array:
    r"""Bytes as continuous data: each spread evenly over its bin.

    .. math::
        :label: dequantization

        x = \frac{b + u - \tfrac12}{127.5} - 1, \qquad u \sim \mathcal U(0, 1)

    Parameters
    ----------
    images : (N, ...) array of uint8
    key : with N samples
    dtype : of the result

    Raises
    ------
    InputError
        If the images are not bytes, or the key has another number of samples.

    Notes
    -----
    Theis et al. 2016, section 3.1.
    """
    xp = namespace(images)
    if images.dtype != xp.uint8 or images.shape[0] != len(key.samples):
        raise InputError("expected images of uint8, 0 to 255, and a key with a sample for each")
    # The spelling names the random stream: another one gives other draws.
    u = key.fold("dequantise").uniform(images.shape[1:], xp)
    return ((images + u - 0.5) * BIN - 1.0).astype(dtype)


def bits_of_bytes(log_density: Array, dimensions: int, width: float = BIN) -> Array:
    r"""What a density of dequantized data bounds: bits for each byte.

    .. math::
        :label: dequantized-bits

        -\frac1D \log_2 P(b) \le -\frac1D\, \mathbb E_u \log_2 p(x) - \log_2 \delta

    for bins of width delta; the last term is 8 bits where bytes are scaled to [0, 1], 7 on [-1, 1],
    both in 256 bins, and log2(127.5) = 6.994 where the bytes 0 and 255 are -1 and 1 themselves, as
    everywhere here.

    Parameters
    ----------
    log_density : (N,) array, nats
    dimensions : D
    width : delta

    Returns
    -------
    (N,) array

    Notes
    -----
    Theis et al. 2016, section 3.1, by Jensen's inequality.
    """
    return bits_per_dim(-log_density, dimensions) - float(np.log2(width))
