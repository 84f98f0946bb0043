"""The samples of each training step, as a function of the seed and the step alone."""

from functools import lru_cache

import numpy as np

from npdiff.data.dataset import random_order
from npdiff.errors import InputError
from npdiff.random import Key


def batch_indices(seed: int, step: int, batch: int, size: int) -> np.ndarray:
    """The indices of the samples of one step.

    Every epoch is a keyed permutation of all samples. The permutations of epochs 0, 1, 2, ... are
    concatenated and cut into batches, so every epoch contains every sample exactly once; if
    ``batch`` does not divide ``size``, a batch continues into the next epoch. There is no state: a
    resumed run uses the same samples as an uninterrupted one.

    Parameters
    ----------
    seed : the seed of the run
    step : the step, from 0
    batch : the number of samples per step
    size : the number of samples in the data set

    Returns
    -------
    int64 array, shape (batch,)

    Examples
    --------
    >>> first_epoch = np.concatenate([batch_indices(0, step, 2, 6) for step in range(3)])
    >>> sorted(first_epoch.tolist())
    [0, 1, 2, 3, 4, 5]

    Raises
    ------
    InputError
        If the data set or the batch is empty, or the step is negative.
    """
    if batch < 1 or size < 1 or step < 0:
        raise InputError(
            "expected batch >= 1, size >= 1 and step >= 0, "
            f"got batch {batch}, size {size}, step {step}"
        )
    first, last = step * batch, (step + 1) * batch
    epochs = range(first // size, (last - 1) // size + 1)
    order = np.concatenate([permutation(seed, epoch, size) for epoch in epochs])
    offset = first - epochs.start * size
    return order[offset : offset + batch]


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order of the samples in one epoch, read-only."""
    order = random_order(Key(seed, np.arange(size), epoch, "shuffle"))
    order.flags.writeable = False
    return order
