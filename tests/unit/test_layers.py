"""Modules stand in ranks, and a module imports only from lower ranks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "distill"

RANKS = [
    ["errors", "progress", "attention", "padding", "pictures", "spread"],
    ["files", "languages", "encode", "duplicates", "scripts", "identify", "hmm"],
    ["recipe"],
    [
        "rundir",
        "store",
        "models",
        "alignment",
        "mteb_tasks",
        "spreadsheet",
        "trimming",
        "layers",
        "ridge",
    ],
    ["cleaning", "vocabulary"],
    ["rows", "named_models", "vectors", "reduction", "neighbours", "uncertainty", "launch", "optimizer", "lookup"],
    ["corpora"],
    ["testsets", "metrics"],
    ["teacher", "objectives", "mixture", "evaluate", "leakage", "translate", "sides"],
    ["static", "skip"],
    ["earlier"],
    ["tokens", "student", "gradients", "compare", "mteb_scores", "mining", "corpora_stats", "interpolation"],
    ["report", "corpora_report", "matching"],
    ["train", "card", "scoring", "corpora_page"],
    ["pipeline"],
    ["plan", "sweep", "prepare", "degrade"],
    ["rank_data"],
    ["cli"],
]
RANK = {name: number for number, names in enumerate(RANKS) for name in names}


def module_of(path: Path) -> str:
    """Return the module, or the folder of modules, a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, anywhere but under TYPE_CHECKING."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "distill":
            parts = node.module.split(".")
            found.update([parts[1]] if len(parts) > 1 else [alias.name for alias in node.names])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found - {"__version__"}


FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name not in {"__main__.py"} and path.parent.name != "__pycache__"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_ranks(path: Path) -> None:
    own = module_of(path)
    if own == "__init__":
        assert not imports(path)
        return
    assert own in RANK, f"give {own} a rank"
    for other in imports(path) - {own}:
        assert RANK[other] < RANK[own], f"{own} (rank {RANK[own]}) imports {other} (rank {RANK[other]})"


def test_every_rank_names_a_module_that_exists() -> None:
    assert set(RANK) == {module_of(path) for path in FILES} - {"__init__"}
