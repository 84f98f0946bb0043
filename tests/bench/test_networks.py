"""The networks that are timed, and that equal arguments give equal workloads."""

import numpy as np
import pytest

from npdiff import tree
from npdiff.bench.networks import BENCHMARK_NETWORKS, workload
from npdiff.nn import Stage


@pytest.mark.parametrize("name", BENCHMARK_NETWORKS)
def test_equal_arguments_give_equal_workloads(name: str) -> None:
    first, again = workload(BENCHMARK_NETWORKS[name], 3), workload(BENCHMARK_NETWORKS[name], 3)
    for field in ("x", "timestep", "target"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    pairs = zip(tree.leaves(first.model), tree.leaves(again.model), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert all(leaf.dtype == np.float32 and np.any(leaf) for leaf in tree.leaves(first.model))
    assert first.x.shape == (3, *BENCHMARK_NETWORKS[name].shape)
    assert (first.labels is None) == (BENCHMARK_NETWORKS[name].classes is None)


@pytest.mark.parametrize(("name", "width"), [("S", 64), ("M", 128), ("L", 256)])
def test_the_networks_have_attention_only_at_8x8(name: str, width: int) -> None:
    """For images of 32x32 the last of three levels is 8x8; its width is that of the table."""
    model = workload(BENCHMARK_NETWORKS[name], 1).model
    attending = [
        stage for stage in (*model.down, *model.up)
        if isinstance(stage, Stage) and stage.attention is not None
    ]  # fmt: skip
    assert len(attending) == 2 + 3
    assert {len(stage.attention.norm.gamma) for stage in attending} == {width}
    assert [stage.attention is not None for stage in model.middle] == [True, False]
    assert sum(type(layer).__name__ == "Downsample" for layer in model.down) == 2


@pytest.mark.parametrize(
    ("batch", "threads", "shard"), [(1, 2, 1), (16, 2, 8), (33, 2, 17), (128, 2, 32), (16, 8, 2)]
)
def test_the_shard_size_gives_every_thread_a_shard(batch: int, threads: int, shard: int) -> None:
    assert workload(BENCHMARK_NETWORKS["tiny"], batch, threads).config.shard == shard
