"""Both ways in which a layer may be computed."""

from collections.abc import Iterator

import pytest

from npdiff.acceleration import definitions_only


@pytest.fixture(params=["definitions", "kernels"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Once by the definitions, once with the kernels that cover the arguments."""
    if request.param == "kernels":
        yield request.param
    else:
        with definitions_only():
            yield request.param
