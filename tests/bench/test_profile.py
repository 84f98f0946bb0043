"""The profile times each layer and function once, times add up, and nothing stays wrapped."""

import time

import pytest

from npdiff import acceleration, nn, ops, tree
from npdiff.acceleration import definitions_only
from npdiff.bench.networks import Network, workload
from npdiff.bench.profile import Recorder, record_profile, step_profile
from npdiff.tree import Module


def test_own_time_excludes_nested_calls() -> None:
    """A call of 20 ms within one of 30 leaves 10; a kernel that returns None is not counted."""
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


def test_layers_are_named_by_their_paths(tiny: Network) -> None:
    work = workload(tiny, 2)
    with record_profile() as profile:
        y, pullback = work.model(work.x, work.timestep, labels=work.labels)
        pullback(y)
    layers = profile.layers.spent
    assert next(iter(layers)) == ""  # the network itself starts first
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


def test_functions_and_kernels_are_named_by_their_modules(tiny: Network) -> None:
    work = workload(tiny, 2)
    with record_profile() as profile:
        work.model(work.x, work.timestep, labels=work.labels)
    names = set(profile.functions.spent)
    assert {"ops.attention", "ops.linear", "ops.concat"} <= names
    assert any(name.startswith("kernels.") for name in names)
    with definitions_only(), record_profile() as profile:
        work.model(work.x, work.timestep, labels=work.labels)
    assert {name.partition(".")[0] for name in profile.functions.spent} == {"ops"}


def test_nothing_stays_wrapped_after_an_error(tiny: Network) -> None:
    before = {name: getattr(ops, name) for name in ops.__all__}
    calls = {kind: kind.__call__ for kind in vars(nn).values()
             if isinstance(kind, type) and issubclass(kind, Module)}  # fmt: skip
    kernels = acceleration._kernels

    def fails() -> None:
        with record_profile():
            assert ops.conv is not before["conv"]
            assert nn.UNet.__call__ is not calls[nn.UNet]
            raise KeyError("on purpose")

    with pytest.raises(KeyError, match="on purpose"):
        fails()
    assert {name: getattr(ops, name) for name in ops.__all__} == before
    assert {kind: kind.__call__ for kind in calls} == calls
    assert acceleration._kernels is kernels


@pytest.mark.parametrize("threads", [1, 2])
def test_fractions_of_a_step_add_up(tiny: Network, threads: int) -> None:
    found = step_profile(workload(tiny, 4), threads, steps=2)
    assert found["gradient"] + found["update"] <= found["seconds"]
    network = found["layers"][""]
    assert network["calls"] == 2  # one for each shard of a step
    assert 0 < network["fraction_with_parts"] <= 1
    fractions = [layer["fraction"] for layer in found["layers"].values()]
    assert sum(fractions) == pytest.approx(network["fraction_with_parts"], rel=1e-6)
    assert sum(f["fraction"] for f in found["functions"].values()) <= 1
