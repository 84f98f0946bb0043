"""The registry: names, options and objects, and the errors that help."""

from dataclasses import dataclass

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.objective import TIME_SAMPLERS, WEIGHTINGS, LogNormal
from npdiff.options import describe, is_description, spell
from npdiff.parameterization import PARAMETERIZATIONS, edm
from npdiff.registry import Registry
from npdiff.samplers import SAMPLERS
from npdiff.schedules import SCHEDULES, Cosine
from npdiff.spacings import SPACINGS, karras


def shout(text, *, times=1):
    """Return the text in capitals."""
    return text.upper() * times


@dataclass(frozen=True)
class Whisper:
    """A quiet function."""

    length: int = 3

    def __call__(self, text):
        return text[: self.length].lower()


@pytest.fixture
def registry():
    return Registry(
        "voice", "a function of a text", callable, {"shout": shout, "whisper": Whisper()},
        common=("text",),
    )  # fmt: skip


def test_it_is_a_mapping_in_the_order_of_registration(registry):
    assert list(registry) == ["shout", "whisper"]
    assert registry["shout"] is shout
    assert "murmur" not in registry
    assert registry.get("murmur") is None
    assert len(registry) == 2
    assert [] not in registry


def test_register_as_function_and_as_decorator(registry):
    registry.register("plain", str)

    @registry.register("twice")
    def twice(text):
        return 2 * text

    assert registry["twice"] is twice
    assert list(registry)[2:] == ["plain", "twice"]
    registry.remove("twice")
    assert "twice" not in registry


def test_a_name_is_registered_once_except_for_the_same_definition(registry):
    with pytest.raises(InputError, match="'shout' is registered already, as shout"):
        registry.register("shout", str.upper)
    registry.register("shout", shout)  # a notebook cell runs twice


@pytest.mark.parametrize("name", ["", "two words", "a,b", "{}", None, 3, "-x"])
def test_names_that_cannot_be_typed_are_refused(registry, name):
    with pytest.raises(InputError, match="is not a name for a voice"):
        registry.register(name, shout)


def test_an_entry_has_to_be_of_the_kind(registry):
    with pytest.raises(InputError, match="expected a function of a text, got 3"):
        registry.register("three", 3)
    with pytest.raises(InputError, match="expected a function that returns an object with the"):
        SCHEDULES.register("mine", Cosine())


def test_an_unknown_name_raises_an_error_with_the_nearest_and_all_names(registry):
    with pytest.raises(InputError) as error:
        registry.resolve("shuot")
    assert str(error.value) == "unknown voice 'shuot': did you mean 'shout'? known: shout, whisper"
    with pytest.raises(KeyError, match="unknown voice 'x'; known: shout, whisper"):
        registry["x"]
    with pytest.raises(InputError, match="unknown sampler 'dimm': did you mean 'ddim'"):
        SAMPLERS["dimm"]


def test_options_are_bound_to_functions_and_given_to_classes(registry):
    assert registry.resolve("shout")("a") == "A"
    assert registry.resolve({"name": "shout", "times": 2})("a") == "AA"
    assert registry.resolve("shout", times=3)("a") == "AAA"
    assert registry.resolve({"name": "whisper", "length": 1}) == Whisper(1)
    assert registry.resolve(str.lower)("A") == "a"
    assert registry.options("shout") == {"times": 1}
    assert registry.options(lambda text, *, pitch: text) == {"pitch": ...}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "shout", "tiems": 2}, "voice .shout. has no option .tiems.: its options"),
        ({"name": "shout", "times": "two"}, "'times' of voice 'shout' must be an integer"),
        ({"name": "whisper", "length": 1.5}, "'length' of voice 'whisper' must be an integer"),
        ({"times": 2}, "has no \"name\""),
        ({"name": "sing"}, "unknown voice 'sing'"),
        (3, "a voice is a name, a dictionary with a name and options, or a function of a text"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_resolved_raise_an_error(registry, value, words):
    with pytest.raises(InputError, match=words):
        registry.resolve(value)


def test_numpy_scalars_become_python_numbers(registry):
    _, options = registry.split({"name": "shout", "times": np.int64(2)})
    assert type(options["times"]) is int
    _, options = SAMPLERS.split("ddim", eta=np.float64(0.5))
    assert type(options["eta"]) is float
    _, options = SAMPLERS.split("ddim", eta=np.array(0.5, np.float32))
    assert options == {"eta": 0.5}


def test_parts_of_npdiff_are_resolved_with_their_options():
    assert SCHEDULES.resolve({"name": "linear", "steps": 4000}).steps == 4000
    cosine = Cosine(s=0.02)
    assert SCHEDULES.resolve(cosine) is cosine
    assert TIME_SAMPLERS.resolve({"name": "log-normal", "mean": 0.5}) == LogNormal(mean=0.5)
    nested = {"name": "low-discrepancy", "base": {"name": "log-normal", "mean": 0.5}}
    assert TIME_SAMPLERS.resolve(nested).base == LogNormal(mean=0.5)
    schedule = SCHEDULES["linear"]()
    spaced = SPACINGS.resolve({"name": "karras", "rho": 5})(schedule, 4)
    np.testing.assert_array_equal(spaced, karras(schedule, 4, rho=5))
    half = np.zeros(1)
    assert WEIGHTINGS.resolve({"name": "min-snr", "gamma": 0.5})(half) == 0.5
    narrow = PARAMETERIZATIONS.resolve({"name": "edm", "sigma_data": 0.2})
    assert narrow.coefficients(schedule, 500.0) == edm(0.2).coefficients(schedule, 500.0)
    sigmoid = WEIGHTINGS.resolve({"name": "sigmoid", "bias": 0.0})
    assert sigmoid.w(half) == 0.5


def test_a_description_names_the_object_and_cannot_be_resolved():
    described = describe(Whisper(2))
    assert described == {"object": "Whisper(length=2)", "type": f"{__name__}.Whisper"}
    assert describe(shout) == {"object": "shout", "type": f"{__name__}.shout"}
    assert "0x" not in describe(object())["object"]
    assert is_description(described)
    assert describe({"name": "ddim", "eta": np.float64(1)}) == {"name": "ddim", "eta": 1.0}
    with pytest.raises(InputError, match="is an object that a file cannot hold, Whisper"):
        TIME_SAMPLERS.resolve(described)


def test_text_of_values_and_repr_of_a_registry(registry):
    assert spell("ddim") == "ddim"
    assert spell({"name": "karras", "rho": 5}) == "karras(rho=5)"
    assert spell(shout) == "shout"
    lines = repr(registry).splitlines()
    assert lines[0] == "Registry of 2 voices"
    assert lines[1] == "  shout    Return the text in capitals.  (times=1)"
    assert lines[2] == "  whisper  A quiet function.  (length=3)"
