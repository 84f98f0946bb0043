"""Which samples a training step sees, as a function of the seed and the step alone."""

from functools import lru_cache

import numpy as np

from npdiff.data.dataset import shuffled
from npdiff.errors import InputError
from npdiff.random import Key


def batch_indices(seed: int, step: int, batch: int, size: int) -> np.ndarray:
    """The indices of the samples of one step: epoch after epoch, each a fresh keyed permutation.

    The permutations of epochs 0, 1, 2, ... are written one after another and the line is cut into
    batches, so every epoch holds every sample exactly once, also where ``batch`` does not divide
    ``size`` or exceeds it: such a batch runs over into the next epoch. There is no state; a run
    that resumes at a step sees what it would have seen.

    Parameters
    ----------
    seed : the seed of the run
    step : the step, from 0
    batch : the number of samples of a step
    size : the number of samples there are

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
        If there are no samples, the batch is empty or the step negative.
    """
    if batch < 1 or size < 1 or step < 0:
        raise InputError(
            "expected batch >= 1, size >= 1 and step >= 0, "
            f"got batch {batch}, size {size}, step {step}"
        )
    first, last = step * batch, (step + 1) * batch
    epochs = range(first // size, (last - 1) // size + 1)
    line = np.concatenate([permutation(seed, epoch, size) for epoch in epochs])
    offset = first - epochs.start * size
    return line[offset : offset + batch]


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order of one epoch, read-only."""
    order = shuffled(Key(seed, np.arange(size), epoch, "shuffle"))
    order.flags.writeable = False
    return order
