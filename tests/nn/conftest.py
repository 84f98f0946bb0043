"""Runs the tests of layers twice: with the definitions, and with the kernels."""

from collections.abc import Iterator

import pytest

from npdiff.acceleration import definitions_only


@pytest.fixture(params=["definitions", "kernels"])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """Definitions, then kernels where they cover the arguments."""
    if request.param == "kernels":
        yield request.param
    else:
        with definitions_only():
            yield request.param
