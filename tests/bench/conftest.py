"""What the tests of the benchmarks share."""

import pytest

from npdiff.bench.networks import NETWORKS, Network


@pytest.fixture
def tiny() -> Network:
    """A network that takes milliseconds."""
    return NETWORKS["tiny"]
