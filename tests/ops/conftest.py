"""Runs the tests of ops twice: with the definitions, and with the kernels."""

from collections.abc import Iterator

import pytest

from npdiff.acceleration import definitions_only


@pytest.fixture(scope="module", params=["definitions", "kernels"])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """Definitions, then kernels; module-scoped, as Hypothesis requires."""
    if request.param == "kernels":
        yield request.param
    else:
        with definitions_only():
            yield request.param
