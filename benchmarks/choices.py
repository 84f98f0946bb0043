"""Each design choice of the kernels, compared with its alternatives.

    python -m benchmarks.choices
    python -m benchmarks.choices --only shards

Alternatives take turns in one process and the fastest turn counts; float32. All but "shards" run
on one core. Takes a minute.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.ceilings import normal
from benchmarks.timing import fastest
from npdiff import ops
from npdiff.acceleration import definitions_only

#: A table: its caption, and the seconds of each alternative.
Table = tuple[str, dict[str, float]]


def pixels() -> Table:
    """Copy every fourth column of 16 images to a separate array, as for Winograd's tiles."""
    tasks: dict[str, Callable[[], object]] = {}
    for C in (32, 128):
        x, out = normal(16, 32, 32, C), np.empty((16, 32, 8, C), np.float32)
        item = np.dtype((np.void, 4 * C))
        whole, to = x.view(item)[..., 0], out.view(item)[..., 0]
        tasks[f"{C} channels, element by element"] = lambda x=x, out=out: np.copyto(
            out, x[:, :, ::4]
        )
        tasks[f"{C} channels, pixel by pixel"] = lambda x=whole, out=to: np.copyto(
            out, x[:, :, ::4]
        )
    return "strided copies", fastest(tasks)


def passes() -> Table:
    """a x + b and SiLU of 64 images of 32 x 32 x 64: five passes."""
    x = normal(64, 32, 64 * 32)
    a, b = normal(64, 1, 64 * 32), normal(64, 1, 64 * 32)
    scratch = np.empty_like(x), np.empty_like(x)

    def plain() -> np.ndarray:
        y = a * x + b
        return y / (1.0 + np.exp(-y))

    def into(rows: slice, v: np.ndarray, gate: np.ndarray) -> None:
        np.multiply(x[rows], a[rows], out=v)
        np.add(v, b[rows], out=v)
        np.tanh(v, out=gate)
        np.add(gate, 1.0, out=gate)
        np.multiply(v, gate, out=v)

    def blocked(size: int) -> Callable[[], None]:
        v, gate = np.empty_like(x[:size]), np.empty_like(x[:size])

        def run() -> None:
            for start in range(0, len(x), size):
                into(slice(start, start + size), v, gate)

        return run

    tasks: dict[str, Callable[[], object]] = {
        "all at once, fresh arrays": plain,
        "all at once, scratch": lambda: into(slice(None), *scratch),
        **{f"blocks of {size}, scratch": blocked(size) for size in (16, 4, 2, 1)},
    }
    return "norm and activation", fastest(tasks, 3.0)


def transposed() -> Table:
    """36 products of 256 tiles with transposed weights."""
    tasks: dict[str, Callable[[], object]] = {}
    for C in (32, 64, 128):
        dM, U, out = normal(36, 256, C), normal(36, C, C), np.empty((36, 256, C), np.float32)
        view, copy = U.swapaxes(1, 2), np.ascontiguousarray(U.swapaxes(1, 2))
        tasks[f"{C} channels, transposed view"] = lambda a=dM, b=view, out=out: np.matmul(
            a, b, out=out
        )
        tasks[f"{C} channels, transposed copy"] = lambda a=dM, b=copy, out=out: np.matmul(
            a, b, out=out
        )
    return "weights of the pullback", fastest(tasks, 2.0)


def cut() -> Table:
    """36 products of tiles and weights, whole or divided along the tiles into smaller ones."""
    tasks: dict[str, Callable[[], object]] = {}
    for C, tiles, parts in ((32, 2048, 4), (64, 512, 4), (128, 256, 8)):
        V, U, M = normal(36, tiles, C), normal(36, C, C), np.empty((36, tiles, C), np.float32)
        shape = (36, parts, tiles // parts, C)
        V_cut, U_cut, M_cut = V.reshape(shape), U[:, None], M.reshape(shape)
        tasks[f"{C} channels, {tiles} tiles"] = lambda V=V, U=U, M=M: np.matmul(V, U, out=M)
        tasks[f"{C} channels, {parts} times {tiles // parts}"] = lambda V=V_cut, U=U_cut, M=M_cut: (
            np.matmul(V, U, out=M)
        )
    return "products of tiles", fastest(tasks, 3.0)


def convolution() -> Table:
    """Convolutions with 3 x 3, forward and back: the definition's patches, and Winograd's."""
    tasks: dict[str, Callable[[], object]] = {}
    for C, size in ((32, 32), (64, 32), (64, 16), (128, 16), (128, 8)):
        x, w = normal(32, size, size, C), normal(3, 3, C, C)

        def both(x: np.ndarray = x, w: np.ndarray = w) -> None:
            y, pullback = ops.conv(x, w)
            pullback(y)

        def defined(run: Callable[[], None] = both) -> None:
            with definitions_only():
                run()

        tasks[f"{C} channels {size} x {size}, definition"] = defined
        tasks[f"{C} channels {size} x {size}, kernel"] = both
    return "convolution of 32 images", fastest(tasks, 8.0)


def upsampled() -> Table:
    """Upsampling and a convolution with 3 x 3, in sequence and as four with 2 x 2."""
    x, w, small, b = normal(32, 16, 16, 64), normal(3, 3, 64, 64), normal(2, 2, 64, 64), normal(64)

    def in_turn() -> object:
        return ops.conv(ops.upsample(x)[0], w, b)[0]

    def four() -> object:
        sides = ((1, 0), (0, 1))
        return [ops.conv(x, small, b, padding=(i, j))[0] for i in sides for j in sides]

    def defined(run: Callable[[], object]) -> Callable[[], object]:
        def by_patches() -> object:
            with definitions_only():
                return run()

        return by_patches

    tasks = {
        "by patches, one after the other": defined(in_turn),
        "by patches, four of 2 x 2": defined(four),
        "Winograd, one after the other": in_turn,
        "Winograd, four of 2 x 2": lambda: ops.upsample_conv(x, w, b)[0],
    }
    return "upsampling, then 3 x 3", fastest(tasks, 3.0)


def optimizer() -> Table:
    """AdamW on six million weights, each operation on all of them or on a chunk at a time."""
    size = 6 * 2**20
    theta, g, m = normal(size), normal(size), normal(size)
    v = m * m

    def fresh() -> object:
        first = 0.9 * m + 0.1 * g
        second = 0.999 * v + 0.001 * (g * g)
        return theta - 1e-3 * (first / (np.sqrt(second) + 1e-8))

    def chunked(chunk: int) -> Callable[[], None]:
        s, t = np.empty(chunk, np.float32), np.empty(chunk, np.float32)

        def run() -> None:
            for start in range(0, size, chunk):
                rows = slice(start, start + chunk)
                np.multiply(m[rows], 0.9, out=m[rows])
                np.add(m[rows], np.multiply(g[rows], 0.1, out=s), out=m[rows])
                np.multiply(v[rows], 0.999, out=v[rows])
                np.multiply(g[rows], g[rows], out=s)
                np.add(v[rows], np.multiply(s, 0.001, out=s), out=v[rows])
                np.add(np.sqrt(v[rows], out=s), 1e-8, out=s)
                np.divide(m[rows], s, out=t)
                np.subtract(theta[rows], np.multiply(t, 1e-3, out=t), out=theta[rows])

        return run

    tasks: dict[str, Callable[[], object]] = {
        "all at once, fresh arrays": fresh,
        "all at once, scratch": chunked(size),
        **{f"chunks of {n}": chunked(n) for n in (2**18, 2**16, 2**14, 2**12)},
    }
    return "AdamW", fastest(tasks, 3.0)


def shards() -> Table:
    """Half a residual block forward and back, 32 images of 32 x 32 x 64, on two cores."""
    x, w, one = normal(32, 32, 32, 64), 0.05 * normal(3, 3, 64, 64), np.ones(64, np.float32)
    pool = ThreadPoolExecutor(2)

    def whole(x: np.ndarray = x) -> None:
        y, pullback = ops.norm_silu_conv(x, one, one, w, one, groups=8)
        pullback(y)

    def threads(count: int) -> Callable[[], None]:
        def run() -> None:
            with threadpool_limits(count):
                whole()

        return run

    def two_shards() -> None:
        with threadpool_limits(1):
            halves = [pool.submit(whole, half) for half in (x[:16], x[16:])]
            wait(halves)
            [half.result() for half in halves]

    tasks = {
        "one shard, BLAS on one thread": threads(1),
        "one shard, BLAS on two threads": threads(2),
        "two shards, BLAS on one thread each": two_shards,
    }
    found = fastest(tasks, 8.0, clock=time.perf_counter)
    pool.shutdown()
    return "shards", found


TABLES = {
    f.__name__: f
    for f in (convolution, upsampled, pixels, transposed, cut, passes, optimizer, shards)
}


def print_tables(tables: Iterable[Table]) -> None:
    """Print milliseconds, and the speed relative to the first alternative."""
    for caption, found in tables:
        print(f"\n{caption}")
        first: dict[str, float] = {}
        for name, seconds in found.items():
            kind = name.partition(",")[0] if "channels" in name or "Winograd" in name else ""
            ratio = first.setdefault(kind, seconds) / seconds
            print(f"  {name:36} {1e3 * seconds:9.3f} ms {ratio:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.choices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    for name in parser.parse_args().only:
        if name == "shards" and (os.cpu_count() or 1) < 2:
            print("\nshards: needs two cores")
            continue
        with threadpool_limits(1):
            print_tables([TABLES[name]()])


if __name__ == "__main__":
    main()
