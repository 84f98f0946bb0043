"""How the textbook is built: `make docs`, which is `sphinx-build -n -W`, without any network.

Every labeled equation stands in the docstring of the one function that implements it. The build
fails on a label that is cited and does not exist, and on one that has two homes.
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
import proofs  # noqa: E402

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
autodoc_typehints = "none"  # shapes and units stand in the text, where a reader looks for them
autodoc_inherit_docstrings = False  # a docstring, and so an equation, has one home
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
    "description": "Diffusion models in NumPy and CuPy, every gradient by hand",
    "fixed_sidebar": True,
    "page_width": "64rem",
}
html_show_sphinx = False
html_copy_source = False


#: Modules without a page: the commands have one together, and PyTorch need not be there.
LEFT_OUT = ("npdiff.cli", "npdiff.__main__", "npdiff.bench.pytorch")


def write_reference(app: Any) -> None:
    """A page for every module below npdiff, some left out; reference.md lists them."""
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
    """A page with the help of every command, as the terminal shows it."""
    from npdiff.cli.main import COMMANDS, parser

    os.environ["COLUMNS"] = "94"
    lines = ["# The commands", "", "As `--help` prints it.", ""]
    for command in ("", *COMMANDS):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            parser().parse_args([*command.split(), "--help"])
        title = f"npdiff {command}".strip()
        lines += [f"## `{title}`", "", "```text", said.getvalue().rstrip(), "```", ""]
    (Path(app.srcdir) / "api" / "commands.md").write_text("\n".join(lines), encoding="utf-8")


def write_proofs(app: Any) -> None:
    """Every equation with its proof, paper by paper; errata; orders: computed in this build."""
    proofs.write(Path(app.srcdir) / "equations")


def home_of(name: str) -> str | None:
    """Where an object is defined that ``name`` reaches through a package that re-exports it."""
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
    """``npdiff.nn.UNet`` is documented where it stands, as ``npdiff.nn.unet.UNet``."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not (home := home_of(target)):
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], home, node, content
    )


def skip_aliases(
    app: Any, kind: str, name: str, found: Any, skip: bool, options: Any
) -> bool | None:
    """Names for Python's own types (``Traced = tuple[...]``), which autodoc takes for classes."""
    return True if isinstance(found, types.GenericAlias) else None


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", skip_aliases)
    app.connect("builder-inited", write_reference)
    app.connect("builder-inited", write_commands)
    app.connect("builder-inited", write_proofs)
    app.connect("missing-reference", resolve_reexport)
