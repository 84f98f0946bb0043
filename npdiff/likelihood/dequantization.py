"""Dequantization: bytes as continuous data, and densities as bits per byte."""

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.objective.bound import bits_per_dim
from npdiff.random import Key

#: The width of a bin: bytes b are represented by b / 127.5 - 1.
BIN = 1.0 / 127.5


def dequantize(images: Array, key: Key, dtype: object = np.float32) -> Array:
    r"""Bytes as continuous data: each with uniform noise over its bin.

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
        If the images are not uint8, or the key has another number of samples.

    Notes
    -----
    Theis et al. 2016, section 3.1.
    """
    xp = namespace(images)
    if images.dtype != xp.uint8 or images.shape[0] != len(key.samples):
        raise InputError(
            f"expected uint8 images and a key with one sample each, got {images.dtype} of shape "
            f"{images.shape} and {len(key.samples)} samples"
        )
    # The spelling names the random stream: another one gives other draws.
    u = key.fold("dequantise").uniform(images.shape[1:], xp)
    return ((images + u - 0.5) * BIN - 1.0).astype(dtype)


def dequantized_bits(log_density: Array, dimensions: int, width: float = BIN) -> Array:
    r"""Bits per byte from the density of dequantized data: an upper bound for the bytes.

    .. math::
        :label: dequantized-bits

        -\frac1D \log_2 P(b) \le -\frac1D\, \mathbb E_u \log_2 p(x) - \log_2 \delta

    for bins of width delta. The last term is 8 bits for 256 bins on [0, 1] and 7 for 256 bins on
    [-1, 1]; in npdiff the bytes 0 and 255 are exactly -1 and 1, so it is log2(127.5) = 6.994.

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
