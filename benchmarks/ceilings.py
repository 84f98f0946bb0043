"""The highest speeds of this machine on one core: products, copies, functions, and memory.

    python -m benchmarks.ceilings
    python -m benchmarks.ceilings --only products memory

Everything is float32 in NumPy. The tasks of a table take turns and the fastest turn counts. Takes
half a minute.
"""

import argparse
import mmap
import resource
import time
from collections.abc import Callable, Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.timing import fastest

#: The caption and the rows of a table.
Table = tuple[str, list[tuple[str, str]]]

#: Rows, inner size and columns of matrix products: a large square one, then those of convolutions.
PRODUCTS = [
    (2048, 2048, 2048),
    (512, 576, 64),
    (65536, 288, 32),
    (65536, 576, 64),
    (16384, 1152, 128),
]
#: Those of Winograd's convolution: tiles, C, F, for each of 36 points.
POINTS = [(512, 32, 32), *((tiles, 64, 64) for tiles in (16, 64, 256, 1024)), (256, 128, 128)]


def normal(*shape: int) -> np.ndarray:
    """A standard normal array, the same in every run."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def products() -> Table:
    """Single matrix products, and stacks of 36."""
    tasks: dict[str, Callable[[], object]] = {}
    work = {}
    for M, K, N in PRODUCTS:
        name = f"{M} x {K} x {N}"
        a, b, out = normal(M, K), normal(K, N), np.empty((M, N), np.float32)
        tasks[name] = lambda a=a, b=b, out=out: np.matmul(a, b, out=out)
        work[name] = 2 * M * K * N
    for M, K, N in POINTS:
        name = f"36 of {M} x {K} x {N}"
        a, b, out = normal(36, M, K), normal(36, K, N), np.empty((36, M, N), np.float32)
        tasks[name] = lambda a=a, b=b, out=out: np.matmul(a, b, out=out)
        work[name] = 36 * 2 * M * K * N
    took = fastest(tasks, 4.0)
    return "matrix products", [(k, f"{work[k] / took[k] / 1e9:6.0f} GFLOP/s") for k in tasks]


def transforms() -> Table:
    """A 6 x 6 matrix times 6 rows, like Winograd's transforms, by the length of the rows."""
    matrix, tasks = normal(6, 6), {}
    for log in range(7, 21):
        x, out = normal(6, 2**log), np.empty((6, 2**log), np.float32)
        tasks[f"6 x 6 times 6 x {2**log}"] = lambda x=x, out=out: np.matmul(matrix, x, out=out)
    took = fastest(tasks, 2.0)
    rows = [(k, took[k], int(k.rpartition(" ")[2])) for k in tasks]
    return "small matrices", [(k, f"{72 * n / s / 1e9:6.1f} GFLOP/s") for k, s, n in rows]


def passes() -> Table:
    """Elements per second of a function, in the second-level cache and in memory."""
    tasks: dict[str, Callable[[], object]] = {}
    for size in (2**15, 2**25):
        x, y, out = normal(size), normal(size), np.empty(size, np.float32)
        where = "128 KiB" if size == 2**15 else "128 MiB"
        tasks[f"copy, {where}"] = lambda x=x, out=out: np.copyto(out, x)
        tasks[f"add, {where}"] = lambda x=x, y=y, out=out: np.add(x, y, out=out)
        tasks[f"tanh, {where}"] = lambda x=x, out=out: np.tanh(x, out=out)
        tasks[f"exp, {where}"] = lambda x=x, out=out: np.exp(x, out=out)
        tasks[f"square root, {where}"] = lambda x=y * y, out=out: np.sqrt(x, out=out)
    took = fastest(tasks, 4.0)
    sizes = {k: 2**15 if "KiB" in k else 2**25 for k in tasks}
    return "elementwise", [(k, f"{sizes[k] / took[k] / 1e9:6.2f} G elements/s") for k in tasks]


def memory() -> Table:
    """Fill an array with new pages from the operating system, and an array that was used before.

    NumPy requests large pages; without them each page fault provides 4096 bytes.
    """
    size = 64 * 2**20  # larger than what the C library keeps when it is freed
    used = np.ones(size, np.uint8)
    makers: dict[str, Callable[[], np.ndarray]] = {
        "fresh, pages of 4096 bytes": lambda: np.frombuffer(mmap.mmap(-1, size), np.uint8),
        "fresh, numpy.empty": lambda: np.empty(size, np.uint8),
        "used before": lambda: used,
    }
    best = {name: (float("inf"), 0) for name in makers}
    for _ in range(30):
        for name, make in makers.items():
            array, before = make(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            start = time.thread_time()
            array.fill(2)
            took = time.thread_time() - start
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
            best[name] = min(best[name], (took, faults))
    rows = [(k, f"{size / took / 1e9:6.1f} GB/s, {n} faults") for k, (took, n) in best.items()]
    return "filling 64 MiB", rows


TABLES = {f.__name__: f for f in (products, transforms, passes, memory)}


def tables(names: list[str]) -> Iterator[Table]:
    """The tables, one after the other, with BLAS on one thread."""
    with threadpool_limits(1):
        for name in names:
            yield TABLES[name]()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ceilings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    for caption, rows in tables(parser.parse_args().only):
        print(f"\n{caption}")
        for name, value in rows:
            print(f"  {name:28} {value}")


if __name__ == "__main__":
    main()
