"""Slices that divide a range: of a fixed size, or a fixed number of nearly equal ones."""


def split_range(stop: int, size: int, start: int = 0) -> list[slice]:
    """Slices of ``size`` elements that cover ``start`` to ``stop``; the last may be smaller.

    >>> split_range(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(i, min(i + size, stop)) for i in range(start, stop, size)]


def split_evenly(count: int, parts: int) -> list[slice]:
    """As many slices as ``parts`` that cover 0 to ``count``, in sizes that differ by at most one.

    >>> split_evenly(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    return [slice(i * count // parts, (i + 1) * count // parts) for i in range(parts)]
