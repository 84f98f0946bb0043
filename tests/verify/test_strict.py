"""The strict array raises errors where a GPU array would, and computes as NumPy does."""

import math
import operator

import numpy as np
import pytest
from scipy import special

from npdiff import backend
from npdiff.verify import cupy_names, strict
from npdiff.verify.strict import DeviceError, xp


def device(values, dtype=np.float32):
    return xp.asarray(np.array(values, dtype=dtype))


HOST = np.arange(3, dtype=np.float32)
MASK = device([True, False, True], bool)
UNSUPPORTED = {
    # operations that wait for the device
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "complex": lambda x: complex(x[0]),
    "bool": lambda x: bool(x[0]),
    "if": lambda x: 1 if x[0] > 0 else 2,
    "and": lambda x: x[0] and x[1],
    "in": lambda x: 1.0 in x,
    "item": lambda x: x[0].item(),
    "tolist": lambda x: x.tolist(),
    "iteration": lambda x: [y for y in x],  # noqa: C416
    "unpacking": lambda x: operator.add(*x[:2]),
    "sum of elements": sum,
    "max of elements": max,
    "math": lambda x: math.sqrt(x[0]),
    "range": lambda x: range(x[0]),
    "as an index": lambda x: [1, 2][device(1, np.int64)],
    "as a size": lambda x: xp.zeros(device(1, np.int64)),
    "as a size in a method": lambda x: x.reshape(device(3, np.int64)),
    "as a slice": lambda x: x[: device(1, np.int64)],
    "mask": lambda x: x[MASK],
    "assignment by mask": lambda x: operator.setitem(x, MASK, 0.0),
    "nonzero": lambda x: xp.where(x > 0),
    # implicit copies to the host
    "np.asarray": np.asarray,
    "np.array": np.array,
    "np.array of a list": lambda x: np.array([x, x]),
    "np.float32": lambda x: np.float32(x[0]),
    "assignment to the host": lambda x: operator.setitem(HOST.copy(), slice(None), x),
    "buffer": memoryview,
    # NumPy's functions
    "np.exp": np.exp,
    "np.exp with out": lambda x: np.exp(HOST, out=x),
    "np.add": lambda x: np.add(x, x),
    "np.add with a scalar": lambda x: np.add(x, 1.0),
    "np.add.reduce": np.add.reduce,
    "np.add.at": lambda x: np.add.at(x, device([0], np.int64), 1.0),
    "np.sum": np.sum,
    "np.concatenate": lambda x: np.concatenate([x, x]),
    "np.where": lambda x: np.where(MASK, x, x),
    "np.zeros_like": np.zeros_like,
    "np.einsum": lambda x: np.einsum("i,i->", x, x),
    "np.ndim": np.ndim,
    "scipy.special.ndtr": special.ndtr,
    # host arrays among device arrays
    "host on the right": lambda x: x + HOST,
    "host on the left": lambda x: HOST + x,
    "host scalar on the right": lambda x: x + np.array(1.0),
    "host scalar on the left": lambda x: np.array(1.0) + x,
    "host in place": lambda x: operator.iadd(x, HOST),
    "device in place on the host": lambda x: operator.iadd(HOST.copy(), x),
    "host compared": lambda x: x == HOST,
    "host matrix on the right": lambda x: x @ HOST,
    "host matrix on the left": lambda x: HOST @ x,
    "host in a function": lambda x: xp.maximum(x, HOST),
    "host alone in a function": lambda x: xp.exp(HOST),
    "host in a list": lambda x: xp.concatenate([x, HOST]),
    "host in where": lambda x: xp.where(MASK, x, HOST),
    "host as a condition": lambda x: xp.where(HOST > 1, x, x),
    "host as out": lambda x: xp.exp(x, out=HOST.copy()),
    "host in a method": lambda x: x.sum(out=np.empty((), np.float32)),
    "host as an index": lambda x: x[np.array([0, 1])],
    "host as an index of at": lambda x: xp.add.at(x, np.array([0]), 1.0),
    "host assigned": lambda x: operator.setitem(x, slice(None), HOST),
    "list as an index": lambda x: x[[0, 1]],
    "list as an operand": lambda x: operator.add(x, [1.0, 2.0, 3.0]),
    "list assigned": lambda x: operator.setitem(x, slice(None), [1.0, 2.0, 3.0]),
    # missing in CuPy
    "keyword of a function": lambda x: xp.exp(x, where=MASK),
    "keyword of a reduction": lambda x: xp.sum(x, initial=0.0),
    "keyword of a method": lambda x: x.sum(where=MASK),
    "keyword of as_strided": lambda x: xp.lib.stride_tricks.as_strided(x, writeable=False),
    "array of strings": lambda x: xp.asarray(["a"]),
    "array of objects": lambda x: xp.asarray([None]),
    "long double": lambda x: xp.asarray(np.zeros(1, np.longdouble)),
    # avoided in npdiff
    "scalar in a function": lambda x: xp.sqrt(2.0),
    "hash": hash,
}


@pytest.mark.parametrize("act", UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_unsupported_operations_raise(act):
    with pytest.raises(TypeError) as error:
        act(device([1.0, 2.0, 3.0]))
    if act not in (hash, memoryview):  # Python itself raises for these
        assert error.type is DeviceError


@pytest.mark.parametrize("name", ["random", "save", "nonzero", "lib.npyio", "linalg", "float128"])
def test_functions_that_are_not_listed_do_not_exist(name):
    with pytest.raises(AttributeError, match="list of CuPy's names"):
        operator.attrgetter(name)(xp)


@pytest.mark.parametrize("name", ["__array_interface__", "tobytes", "nonzero", "newbyteorder"])
def test_methods_that_are_not_listed_do_not_exist(name):
    assert not hasattr(device([1.0]), name)


def test_its_namespace_is_xp():
    x = device([1.0])
    assert backend.namespace(x) is xp
    assert isinstance(x, xp.ndarray)
    assert not isinstance(x, np.ndarray)


def test_asarray_and_to_host_copy():
    host = np.ones(2, dtype=np.float32)
    x = xp.asarray(host)
    x += 1.0
    on_host = backend.to_host(x)
    on_host += 1.0
    assert host.tolist() == [1.0, 1.0]
    assert on_host.tolist() == [3.0, 3.0]
    assert x.get().tolist() == [2.0, 2.0]


def test_views_share_memory():
    x = device(np.zeros((2, 3)))
    row = x[0]
    row[...] = 1.0
    x[1][2] += 5.0
    one = x[1, 0]  # of shape (), and a view as on a GPU
    one += 7.0
    x.T[1, 1] = 9.0
    x.reshape(-1)[3:4] -= 1.0
    assert x.get().tolist() == [[1.0, 1.0, 1.0], [6.0, 9.0, 5.0]]


@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_a_reduction_returns_an_array_of_shape_zero(name):
    total = getattr(device([1.0, 2.0]), name)()
    assert isinstance(total, strict.Array)
    assert total.shape == ()
    assert (total * 2.0).shape == (-total).shape == (total + total).shape == ()


SCALARS = [2, 2.0, np.float32(2), np.float64(2), True]


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"])
def test_operators_with_scalars_agree_with_numpy(name, scalar):
    f, host = getattr(operator, name), np.array([1.5, -2.0, 3.0], dtype=np.float32)
    for a, b in (
        (f(xp.asarray(host), scalar), f(host, scalar)),
        (f(scalar, xp.asarray(host)), f(scalar, host)),
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.get(), b)


@pytest.mark.parametrize("name", ["and_", "or_", "xor", "lshift", "rshift"])
def test_bitwise_operators_agree_with_numpy(name):
    f, host = getattr(operator, name), np.arange(4, dtype=np.uint64)
    x, two = xp.asarray(host), np.uint64(2)
    for a, b in (
        (f(x, x), f(host, host)),
        (f(x, two), f(host, two)),
        (f(two, x), f(two, host)),
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.get(), b)


@pytest.mark.parametrize("name", ["iadd", "isub", "imul", "itruediv", "ipow", "ifloordiv", "imod"])
def test_in_place_operators_change_the_array(name):
    host = np.array([1.5, 2.0, 3.0], dtype=np.float32)
    x = xp.asarray(host)
    view = x[1:]
    same = getattr(operator, name)(x, 2.0)
    assert same is x
    expected = getattr(operator, name)(host, 2.0)
    np.testing.assert_array_equal(view.get(), expected[1:])


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparisons_return_arrays(name):
    f, host = getattr(operator, name), np.array([1.0, 2.0, 3.0], dtype=np.float32)
    x = xp.asarray(host)
    for a, b in ((f(x, 2.0), f(host, 2.0)), (f(np.float32(2), x), f(np.float32(2), host))):
        assert isinstance(a, strict.Array)
        np.testing.assert_array_equal(a.get(), b)


def test_out_receives_the_result():
    x, out = device([0.0, 1.0]), device([5.0, 5.0])
    assert xp.exp(x, out=out) is out
    np.testing.assert_array_equal(out.get(), np.exp(x.get()))


def test_erf_agrees_with_scipy():
    x = np.linspace(-2, 2, 5, dtype=np.float32)
    np.testing.assert_array_equal(backend.erf(xp.asarray(x)).get(), special.erf(x))


def test_transfers_are_recorded():
    with strict.transfers() as record:
        x = device(np.zeros((2, 3)))
        y = xp.asarray(x) + xp.ones((2, 3)) * 2.0  # entirely on the device
        y.get()
        backend.to_host(y[0])
    device([1.0])  # after the recording ended
    assert record.to_device == [(2, 3)]
    assert record.to_host == [(2, 3), (3,)]


def test_every_listed_name_exists():
    names = (*cupy_names.FUNCTIONS, *cupy_names.CREATION, *cupy_names.SHARED.split())
    for name in names:
        operator.attrgetter(name)(xp)
    x = device([[1.0]])
    for name in (*cupy_names.METHODS, *cupy_names.ATTRIBUTES.split()):
        getattr(x, name)
