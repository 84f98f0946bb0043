"""Both ways in which an op may be computed: as the textbook defines it, and with kernels."""

from collections.abc import Iterator

import pytest

from npdiff.acceleration import definitions_only


@pytest.fixture(scope="module", params=["definitions", "kernels"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Once by the definitions, once with the kernels; for a module, so that Hypothesis takes it."""
    if request.param == "kernels":
        yield request.param
    else:
        with definitions_only():
            yield request.param
