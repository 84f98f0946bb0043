"""The profile: every layer and function once, times that add up, and nothing left behind."""

import time

import pytest

from npdiff import acceleration, nn, ops, tree
from npdiff.acceleration import definitions_only
from npdiff.bench.networks import Network, workload
from npdiff.bench.profile import Recorder, record_profile, step_profile
from npdiff.tree import Module


def test_time_is_counted_once() -> None:
    """A call of 20 ms within one of 30: 10 are its own; a nested kernel that declines has none."""
    recorder = Recorder()

    def inner() -> tuple[int, object]:
        time.sleep(0.02)
        return 1, lambda dy: (time.sleep(0.01), dy)

    def outer() -> tuple[int, object]:
        time.sleep(0.01)
        recorder.traced("declines", lambda: None)
        return recorder.traced("inner", inner)

    y, pullback = recorder.traced("outer", outer)
    assert y == 1
    assert pullback("dy")[1] == "dy"
    spent = recorder.spent
    assert [name for name, s in spent.items() if s.calls] == ["outer", "inner"]
    assert spent["outer"].forward >= spent["inner"].forward >= 0.02
    assert spent["outer"].own_forward == pytest.approx(
        spent["outer"].forward - spent["inner"].forward, abs=1e-9
    )
    assert spent["inner"].backward >= 0.01
    assert spent["outer"].own_backward < spent["inner"].own_backward


def test_layers_have_their_paths(tiny: Network) -> None:
    work = workload(tiny, 2)
    with record_profile() as profile:
        y, pullback = work.model(work.x, work.timestep, labels=work.labels)
        pullback(y)
    layers = profile.layers.spent
    assert next(iter(layers)) == ""  # the network itself begins first
    assert {"stem", "down.0", "down.0.res", "down.1.conv", "middle.1", "up.0.attention"} <= {
        *layers
    }
    paths = {name.rpartition(".")[0] for name, _ in tree.named_leaves(work.model)}
    assert set(layers) - {""} <= {p for path in paths for p in ancestors(path)}
    assert all(spent.calls == 1 and spent.backward > 0 for spent in layers.values())
    whole = layers[""]
    assert sum(spent.own for spent in layers.values()) == pytest.approx(whole.total, rel=1e-6)


def ancestors(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def test_functions_and_kernels_by_name(tiny: Network) -> None:
    work = workload(tiny, 2)
    with record_profile() as profile:
        work.model(work.x, work.timestep, labels=work.labels)
    names = set(profile.functions.spent)
    assert {"ops.attention", "ops.linear", "ops.concat"} <= names
    assert any(name.startswith("kernels.") for name in names)
    with definitions_only(), record_profile() as profile:
        work.model(work.x, work.timestep, labels=work.labels)
    assert {name.partition(".")[0] for name in profile.functions.spent} == {"ops"}


def test_nothing_is_left_behind(tiny: Network) -> None:
    before = {name: getattr(ops, name) for name in ops.__all__}
    calls = {kind: kind.__call__ for kind in vars(nn).values()
             if isinstance(kind, type) and issubclass(kind, Module)}  # fmt: skip
    kernels = acceleration._kernels

    def fails() -> None:
        with record_profile():
            assert ops.conv is not before["conv"]
            assert nn.UNet.__call__ is not calls[nn.UNet]
            raise KeyError("as if")

    with pytest.raises(KeyError, match="as if"):
        fails()
    assert {name: getattr(ops, name) for name in ops.__all__} == before
    assert {kind: kind.__call__ for kind in calls} == calls
    assert acceleration._kernels is kernels


@pytest.mark.parametrize("threads", [1, 2])
def test_the_parts_of_a_step(tiny: Network, threads: int) -> None:
    found = step_profile(workload(tiny, 4), threads, steps=2)
    assert found["gradient"] + found["update"] <= found["seconds"]
    network = found["layers"][""]
    assert network["calls"] == 2  # one for each shard of a step
    assert 0 < network["fraction_with_parts"] <= 1
    shares = [layer["fraction"] for layer in found["layers"].values()]
    assert sum(shares) == pytest.approx(network["fraction_with_parts"], rel=1e-6)
    assert sum(f["fraction"] for f in found["functions"].values()) <= 1
