"""The operations of a network, counted by its layers and by the products that NumPy computes."""

from typing import Any

import numpy as np
import pytest

from npdiff import tree
from npdiff.acceleration import definitions_only
from npdiff.bench.flops import forward_flops, training_flops
from npdiff.bench.networks import BENCHMARK_NETWORKS, Network, workload


class Counted(np.ndarray):
    """An array that counts the operations of matrix products with it and with results of it."""

    operations = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(a) if isinstance(a, np.ndarray) else a for a in inputs]
        if "out" in options:
            options["out"] = tuple(map(np.asarray, options["out"]))
        y = getattr(ufunc, method)(*arrays, **options)
        if ufunc is np.matmul:
            Counted.operations += 2 * arrays[0].shape[-1] * y.size
        return y.view(Counted) if isinstance(y, np.ndarray) else y


ATTENTION = Network("attention", (4, 4, 8), {"heads": 2}, attention=True)


@pytest.mark.parametrize(
    ("network", "millions"),
    [("S", 725.7), ("M", 2892.7), ("L", 4292.4)],
)
def test_operations_equal_those_counted_from_the_pytorch_layers(
    network: str, millions: float
) -> None:
    """The reference values come from a separate program."""
    model = workload(BENCHMARK_NETWORKS[network], 1).model
    assert forward_flops(BENCHMARK_NETWORKS[network], model) / 1e6 == pytest.approx(
        millions, abs=0.1
    )


def test_operations_of_attention_equal_a_count_by_hand() -> None:
    """16 positions, 8 channels: 4 maps of 2 * 8 * 8 each; q k and p v are 2 * 16 * 8 each."""
    model = workload(ATTENTION, 1).model
    assert forward_flops(ATTENTION, model) == 16 * (4 * 2 * 8 * 8 + 2 * 2 * 16 * 8)
    assert training_flops(ATTENTION, model) == 3 * forward_flops(ATTENTION, model)


def test_operations_equal_those_that_numpy_computes(
    monkeypatch: pytest.MonkeyPatch, tiny: Network
) -> None:
    """By the definitions every convolution is one matrix product."""
    monkeypatch.setattr(Counted, "operations", 0)
    work = workload(tiny, 2)
    model = tree.map(lambda leaf: leaf.view(Counted), work.model)
    with definitions_only():
        model(work.x.view(Counted), work.timestep.view(Counted), labels=work.labels)
    assert Counted.operations == 2 * forward_flops(tiny, work.model)
