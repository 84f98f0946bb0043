"""The table of ``npdiff bench --profile``: where the time of a training step goes."""

import re
from typing import Any

from npdiff.cli.columns import Column, table, terminal_width
from npdiff.cli.common import pluralize

#: Layers and functions of a smaller share of a step are left out.
SHOWN = 0.005

COLUMNS = (
    Column("", least=16),
    Column("calls", right=True, drop=1),
    Column("forward ms", right=True, drop=3),
    Column("backward ms", right=True, drop=2),
    Column("own ms", right=True),
    Column("own", right=True),
    Column("with parts", right=True),
)


def profile_text(found: dict[str, Any]) -> str:
    """Two tables: the layers in their order, and the functions by their share."""
    seconds, threads = found["seconds"], found["threads"]
    functions = found["functions"]
    known = found["layers"].get("", {"share_with_parts": 0.0})["share_with_parts"]
    order = sorted(functions, key=lambda name: -functions[name]["fraction"])
    return "\n".join(
        [
            f"{found['network']}, batch {found['batch']}: a training step takes "
            f"{spelled(seconds)} ms on {pluralize(threads, 'thread')}, of which the update takes "
            f"{found['update'] / seconds:.1%}.",
            "Times below are sums over threads, and shares are of threads times the step's time.",
            f"The network has {known:.1%}; the rest is noise, loss, sums, update and waiting.",
            "",
            _table("layer", found["layers"], [(path, _indented(path)) for path in found["layers"]]),
            "",
            _table("function", functions, [(name, name) for name in order]),
            "",
        ]
    )


def _indented(path: str) -> str:
    """``down.0.res`` as ``res`` below ``down.0`` below the network."""
    if not path:
        return "network"
    parts = re.sub(r"\.(\d+)", r"/\1", path).split(".")
    return "  " * len(parts) + parts[-1].replace("/", ".")


def _table(title: str, spent: dict[str, Any], names: list[tuple[str, str]]) -> str:
    lines = [
        [
            shown, f"{found['calls']:.4g}", f"{1e3 * found['forward']:.1f}",
            f"{1e3 * found['backward']:.1f}",
            f"{1e3 * (found['own_forward'] + found['own_backward']):.1f}",
            f"{found['fraction']:.1%}", f"{found['share_with_parts']:.1%}",
        ]
        for name, shown in names
        if (found := spent[name])["share_with_parts"] >= SHOWN
    ]  # fmt: skip
    first = Column(title, least=COLUMNS[0].least)
    return table((first, *COLUMNS[1:]), lines, terminal_width())


def spelled(seconds: float) -> str:
    """Milliseconds to three digits or more."""
    thousandths = 1e3 * seconds
    return f"{thousandths:.0f}" if thousandths >= 100 else f"{thousandths:.3g}"
