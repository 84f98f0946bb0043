"""Fixtures for the tests of the benchmarks."""

import pytest

from npdiff.bench.networks import BENCHMARK_NETWORKS, Network


@pytest.fixture
def tiny() -> Network:
    """A network that takes milliseconds."""
    return BENCHMARK_NETWORKS["tiny"]
