"""A strict stand-in for a GPU array: test without a GPU that code runs on one.

An :class:`Array` computes with NumPy but has only the interface of a CuPy array. It raises
:class:`DeviceError` where CuPy raises (host arrays in a device computation, ``np.asarray``), where
a program would wait for the device (``float()``, ``bool()``, ``.item()``, boolean masks), and for
anything that CuPy lacks (names that :mod:`npdiff.verify.cupy_names` does not list). It is not a
subclass of NumPy's array, from which it would inherit methods that CuPy lacks.

>>> x = xp.asarray(np.ones(3, dtype=np.float32))
>>> xp.sqrt(4.0 * x).get()
array([2., 2., 2.], dtype=float32)
>>> float(x[0])
Traceback (most recent call last):
    ...
npdiff.verify.strict.DeviceError: float() of a device array makes the program wait for the device
"""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partialmethod
from typing import Any

import numpy as np

from npdiff.verify import cupy_names


class DeviceError(TypeError):
    """An operation that a device array does not support, or that makes the program wait."""


@dataclass(frozen=True)
class Transfers:
    """The shapes of the arrays copied between host and device, in order."""

    to_device: list[tuple[int, ...]] = field(default_factory=list)
    to_host: list[tuple[int, ...]] = field(default_factory=list)


_transfers: ContextVar[Transfers | None] = ContextVar("npdiff_transfers", default=None)


@contextmanager
def transfers() -> Iterator[Transfers]:
    """A context manager that records the copies between host and device."""
    record = Transfers()
    token = _transfers.set(record)
    try:
        yield record
    finally:
        _transfers.reset(token)


#: Operands that CuPy accepts next to its arrays.
_SCALARS = (bool, int, float, complex, np.generic)

#: Operators by NumPy's names: a NumPy scalar on the left of an operator calls these.
_COMPARING = "equal greater greater_equal less less_equal not_equal"
_LEFT_SCALAR = (
    "add bitwise_and bitwise_or bitwise_xor divide floor_divide left_shift multiply power "
    f"remainder right_shift subtract {_COMPARING}"
)

#: Operations that wait until the device has finished.
_BLOCKING = {
    "__bool__": "bool()",
    "__complex__": "complex()",
    "__contains__": "'in'",
    "__float__": "float()",
    "__index__": "an index or a size made",
    "__int__": "int()",
    "__iter__": "iteration, element by element,",
    "item": "item()",
    "tolist": "tolist()",
}


class Array:
    """An array on a simulated device."""

    __slots__ = ("_host",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: np.ndarray) -> None:
        self._host = host

    def __array_namespace__(self, *, api_version: str | None = None) -> "Namespace":
        return xp

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise DeviceError("NumPy cannot read a device array: copy it with backend.to_host")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise DeviceError(f"np.{function.__name__} of a device array: call the function of xp")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        if name in _COMPARING.split():  # NumPy makes an array of its scalar: numpy/numpy#12142
            inputs = tuple(a[()] if isinstance(a, np.ndarray) else a for a in inputs)
        operands = [_operand(value) for value in inputs]
        left_scalar = name in _LEFT_SCALAR.split() and isinstance(inputs[0], np.generic)
        if method == "__call__" and not kwargs and (left_scalar or name in cupy_names.SPECIAL):
            return _device(ufunc(*operands))
        raise DeviceError(f"np.{name} of a device array: call the function of xp")

    def get(self) -> np.ndarray:
        """A copy on the host; nothing else copies there."""
        if record := _transfers.get():
            record.to_host.append(self._host.shape)
        return self._host.copy()

    @property
    def T(self) -> "Array":  # noqa: N802
        """The array with its axes reversed."""
        return Array(self._host.T)

    def __repr__(self) -> str:
        return f"strict.Array({self._host.dtype}, {self._host.shape})"

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, key: Any) -> "Array":
        return Array(self._host[_key(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[_key(key)] = _operand(value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name!r} is not in npdiff's list of attributes of CuPy arrays")

    def _operate(self, f: Callable[..., Any], *other: Any) -> Any:
        return _device(f(self._host, *map(_operand, other)))

    def _reflect(self, f: Callable[..., Any], other: Any) -> Any:
        return _device(f(_operand(other), self._host))

    def _update(self, f: Callable[..., Any], other: Any) -> "Array":
        f(self._host, _operand(other))
        return self

    def _method(self, name: str, *args: Any, **kwargs: Any) -> Any:
        _check_on_host(args)
        f, keywords = getattr(self._host, name), cupy_names.METHODS[name]
        return _call(f, f"method {name}", keywords, args, kwargs)

    def _wait(self, what: str, *_: Any) -> Any:
        raise DeviceError(f"{what} of a device array makes the program wait for the device")


class Namespace:
    """The module ``xp`` of these arrays, or a submodule."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name!r} is not in npdiff's list of CuPy's names")


def _host(value: Any) -> Any:
    """The NumPy value of an argument that may be used on a device."""
    if isinstance(value, Array):
        return value._host
    if isinstance(value, np.ndarray):
        raise DeviceError(
            f"a host array {value.dtype} {value.shape} in a device computation: copy it with "
            "xp.asarray"
        )
    if isinstance(value, list | tuple):
        return type(value)(_host(part) for part in value)
    return value


def _operand(value: Any) -> Any:
    """The NumPy value of an operand."""
    if not isinstance(value, (Array, np.ndarray, *_SCALARS)):
        raise DeviceError(f"a device array cannot be combined with a {type(value).__name__}")
    return _host(value)


def _device(value: Any) -> Any:
    """A NumPy result as a device array; a scalar becomes an array of shape ()."""
    return Array(np.asarray(value)) if isinstance(value, np.ndarray | np.generic) else value


def _on_device(value: Any) -> bool:
    """Whether an argument is or contains a device array."""
    if isinstance(value, list | tuple):
        return any(map(_on_device, value))
    return isinstance(value, Array)


def _check_on_host(sizes: Any) -> None:
    """Sizes, axes and other scalars must be on the host."""
    if _on_device(sizes):
        raise DeviceError("a size, an axis or a scalar must be on the host, got a device array")


def _key(key: Any) -> tuple[Any, ...]:
    """An index with an ellipsis, so that a single element is a view and not a scalar."""
    hosts = []
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, Array) and part._host.dtype == np.bool_:
            raise DeviceError("a boolean mask makes the program wait for its size: use xp.where")
        if isinstance(part, list | tuple | bool | np.bool_):
            raise DeviceError(
                f"an index of type {type(part).__name__} is copied to the device: use an array"
            )
        hosts.append(_host(part))
    return tuple(hosts) if any(part is ... for part in hosts) else (*hosts, ...)


def _call(f: Callable[..., Any], name: str, keywords: str, args: Any, kwargs: Any) -> Any:
    """Call a NumPy function on device arrays, with CuPy's keywords only."""
    for keyword in kwargs:
        if keyword not in keywords.split():
            raise DeviceError(
                f"keyword {keyword!r} of {name} is not in npdiff's list of CuPy's names"
            )
    result = f(*_host(args), **{keyword: _host(value) for keyword, value in kwargs.items()})
    return _device(result) if kwargs.get("out") is None else kwargs["out"]


def _function(name: str, keywords: str) -> Callable[..., Any]:
    f = operator.attrgetter(name)(np)

    def call(*args: Any, **kwargs: Any) -> Any:
        if name in cupy_names.CREATION:
            _check_on_host(args)
        elif not _on_device((*args, *kwargs.values())):
            _host(args)
            raise DeviceError(f"xp.{name} of a host scalar launches a kernel: use math")
        if name == "where" and not (len(args) == 3 and isinstance(args[0], Array)):
            raise DeviceError("xp.where needs a boolean array and two values")
        return _call(f, f"xp.{name}", keywords, args, kwargs)

    return call


def _asarray(a: Any, dtype: Any = None) -> Array:
    """Copy from the host to the device; nothing else does."""
    if isinstance(a, Array):
        return Array(np.asarray(a._host, dtype=dtype))
    host = np.array(a, dtype=dtype)
    if host.dtype.char not in cupy_names.DTYPES:
        raise DeviceError(f"CuPy has no arrays of dtype {host.dtype}")
    if record := _transfers.get():
        record.to_device.append(host.shape)
    return Array(host)


def _namespace() -> Namespace:
    root = Namespace()
    vars(root).update(ndarray=Array, asarray=_asarray)
    vars(root).update({name: getattr(np, name) for name in cupy_names.SHARED.split()})
    for name, keywords in (cupy_names.CREATION | cupy_names.FUNCTIONS).items():
        *path, last = name.split(".")
        module: Any = root
        for part in path:  # creates "lib.stride_tricks"; "add" of "add.at" exists
            module = vars(module).setdefault(part, Namespace())
        setattr(module, last, _function(name, keywords))
    return root


def _complete() -> None:
    """Give :class:`Array` the listed attributes, methods and operators."""
    parts: dict[str, Any] = {}
    for name in cupy_names.ATTRIBUTES.split():
        parts[name] = property(operator.attrgetter(f"_host.{name}"))
    for name in cupy_names.METHODS:
        parts[name] = partialmethod(Array._method, name)
    for name, what in _BLOCKING.items():
        parts[name] = partialmethod(Array._wait, what)
    for name in f"{cupy_names.UNARY} {cupy_names.BINARY} {cupy_names.COMPARISONS}".split():
        parts[f"__{name}__"] = partialmethod(Array._operate, getattr(operator, f"__{name}__"))
    for name in cupy_names.BINARY.split():
        parts[f"__r{name}__"] = partialmethod(Array._reflect, getattr(operator, f"__{name}__"))
        if name != "matmul":  # CuPy has no in-place matrix product
            parts[f"__i{name}__"] = partialmethod(Array._update, getattr(operator, f"__i{name}__"))
    for name, part in parts.items():
        setattr(Array, name, part)


_complete()

#: The array module: ``namespace(x)`` of an :class:`Array`.
xp = _namespace()
