"""The build of the textbook: `make docs`, which is `sphinx-build -n -W`, without a network.

Every labeled equation is in the docstring of the function that implements it. The build fails on a
citation of a label that does not exist, and on a label that is defined twice.
"""

import contextlib
import importlib
import io
import os
import pkgutil
import sys
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
import equation_pages  # noqa: E402

import npdiff  # noqa: E402

project = "npdiff"
author = "The npdiff developers"
copyright = "2026, The npdiff developers"
version = release = npdiff.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinxcontrib.bibtex",
    "sphinx_gallery.gen_gallery",
]

root_doc = "index"
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.py", "**/sg_execution_times.rst"]
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(abc|collections|contextlib|enum|pathlib|typing|numpy|scipy)\..*"),
    ("py:obj", r"npdiff\.registry\.[ER]"),  # type variables
]

autodoc_default_options = {"members": True, "ignore-module-all": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes and units are in the text
autodoc_inherit_docstrings = False  # so that an equation is defined once
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

math_number_all = False
math_eqref_format = "({number})"

bibtex_bibfiles = ["refs.bib"]
bibtex_reference_style = "author_year"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "plot_gallery": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
}

html_theme = "alabaster"
html_title = "npdiff"
html_theme_options = {
    "description": "Diffusion models in NumPy and CuPy, with gradients written by hand",
    "fixed_sidebar": True,
    "page_width": "64rem",
}
html_show_sphinx = False
html_copy_source = False


#: Modules without a page: the commands share one, and PyTorch may be missing.
LEFT_OUT = ("npdiff.cli", "npdiff.__main__", "npdiff.bench.pytorch")


def write_reference(app: Any) -> None:
    """Write a page for every module of npdiff except ``LEFT_OUT``; reference.md lists them."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    pages = {}
    for module in pkgutil.walk_packages([str(ROOT / "npdiff")], "npdiff."):
        if not module.name.startswith(LEFT_OUT):
            title = f"``{module.name}``"
            rule = "=" * len(title)
            pages[f"{module.name}.rst"] = f"{title}\n{rule}\n\n.. automodule:: {module.name}\n"
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def write_commands(app: Any) -> None:
    """Write a page with the help of every command."""
    from npdiff.cli.main import COMMANDS, parser

    os.environ["COLUMNS"] = "94"
    lines = ["# The commands", "", "The output of `--help`.", ""]
    for command in ("", *COMMANDS):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            parser().parse_args([*command.split(), "--help"])
        title = f"npdiff {command}".strip()
        lines += [f"## `{title}`", "", "```text", output.getvalue().rstrip(), "```", ""]
    (Path(app.srcdir) / "api" / "commands.md").write_text("\n".join(lines), encoding="utf-8")


def write_equations(app: Any) -> None:
    """Every equation with its verification, errata and orders, computed in this build."""
    equation_pages.write(Path(app.srcdir) / "equations")


def home_of(name: str) -> str | None:
    """The full name of an object that ``name`` reaches through a package that re-exports it."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
            for part in parts[cut:]:
                found = getattr(found, part)
        except (ImportError, AttributeError):
            continue
        home = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
        return home if home != name else None
    return None


def resolve_reexport(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Resolve ``npdiff.nn.UNet``, or ``UNet`` within ``npdiff.nn``, to ``npdiff.nn.unet.UNet``."""
    target = node.get("reftarget", "")
    within = f"{node.get('py:module')}.{target}"
    if node.get("refdomain") != "py" or not (home := home_of(target) or home_of(within)):
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], home, node, content
    )


def skip_aliases(
    app: Any, kind: str, name: str, found: Any, skip: bool, options: Any
) -> bool | None:
    """Skip aliases of generic types (``Traced = tuple[...]``), which autodoc treats as classes."""
    return True if isinstance(found, types.GenericAlias) else None


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", skip_aliases)
    app.connect("builder-inited", write_reference)
    app.connect("builder-inited", write_commands)
    app.connect("builder-inited", write_equations)
    app.connect("missing-reference", resolve_reexport)
