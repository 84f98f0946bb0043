"""The names of CuPy 14 that npdiff may use: taken from CuPy 14.2, compared with CuPy by a test.

A name that is not listed is either missing in CuPy or has not been looked up yet. Look it up in
CuPy's reference (does it wait for the device? does it accept host arrays?) and add it.
"""

#: Elementwise functions.
ELEMENTWISE = (
    "abs add ceil cos divide equal exp expm1 floor greater greater_equal hypot isfinite isnan less "
    "less_equal log log1p logaddexp logical_and logical_not logical_or maximum minimum multiply "
    "negative not_equal power rint sign sin sqrt square subtract tanh"
)

#: Functions that create an array from shapes and scalars, and their keyword arguments.
CREATION = {
    "arange": "dtype",
    "empty": "dtype order",
    "eye": "dtype order",
    "full": "dtype order",
    "linspace": "dtype endpoint",
    "ones": "dtype order",
    "zeros": "dtype order",
}

#: Functions of arrays, and their keyword arguments.
FUNCTIONS = {
    **dict.fromkeys(ELEMENTWISE.split(), "out dtype"),
    "add.at": "",
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis dtype out keepdims",
    "argmin": "axis dtype out keepdims",
    "ascontiguousarray": "dtype",
    "broadcast_to": "shape",
    "clip": "out",
    "concatenate": "axis out dtype casting",
    "cumsum": "axis dtype out",
    "dot": "out",
    "einsum": "dtype optimize",
    "empty_like": "dtype order shape",
    "expand_dims": "axis",
    "flip": "axis",
    "full_like": "dtype order shape",
    "lib.stride_tricks.as_strided": "shape strides",
    "matmul": "out dtype casting axes",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "min": "axis out keepdims",
    "moveaxis": "source destination",
    "ones_like": "dtype order shape",
    "prod": "axis dtype out keepdims",
    "repeat": "repeats axis",
    "reshape": "order",
    "roll": "shift axis",
    "sort": "axis",
    "squeeze": "axis",
    "stack": "axis out dtype casting",
    "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims",
    "swapaxes": "",
    "take": "axis out",
    "tensordot": "axes",
    "tile": "reps",
    "transpose": "axes",
    "tril": "k",
    "triu": "k",
    "var": "axis dtype out ddof keepdims",
    "vdot": "",
    "where": "",
    "zeros_like": "dtype order shape",
}

#: Names that are the same objects in CuPy and NumPy: types, constants, properties of types.
SHARED = (
    "bool_ finfo float16 float32 float64 iinfo inf int8 int16 int32 int64 nan newaxis pi uint8 "
    "uint16 uint32 uint64"
)

#: Type codes of CuPy arrays.
DTYPES = "?bhilqBHILQefdFD"

#: Methods of an array, and their keyword arguments.
METHODS = {
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis dtype out keepdims",
    "argmin": "axis dtype out keepdims",
    "astype": "dtype order copy",
    "copy": "order",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "min": "axis out keepdims",
    "ravel": "order",
    "repeat": "repeats axis",
    "reshape": "order",
    "squeeze": "axis",
    "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims",
    "swapaxes": "",
    "transpose": "",
    "var": "axis dtype out ddof keepdims",
}

#: Attributes of an array.
ATTRIBUTES = "dtype itemsize nbytes ndim shape size strides"

#: Functions of cupyx.scipy.special, with the names of scipy.special.
SPECIAL = ("erf", "log_ndtr")

#: Operators on one array, on two operands (with r... and i...), and comparisons.
UNARY = "abs invert neg pos"
BINARY = "add and floordiv lshift matmul mod mul or pow rshift sub truediv xor"
COMPARISONS = "eq ge gt le lt ne"
