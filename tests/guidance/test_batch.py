"""Guidance from one batch of twice the size."""

import numpy as np

from npdiff.backend import namespace
from npdiff.guidance import batched_cfg
from npdiff.schedules import SCHEDULES


def test_the_first_half_of_the_batch_is_conditional() -> None:
    def both(x: np.ndarray, t: object) -> tuple[np.ndarray, np.ndarray]:
        xp = namespace(x)
        return xp.concatenate([x[:1] + 10.0, x[1:] + 1.0]), xp.concatenate([x[:1], x[1:] * 3.0])

    x_0, eps = batched_cfg(both, SCHEDULES["linear"](), 2.0)(np.ones((1, 1)), 5.0)
    assert x_0.item() == 2.0 + 2.0 * (11.0 - 2.0)
    assert eps.item() == 3.0 + 2.0 * (1.0 - 3.0)
