"""The rules of the code base that a reader relies on: which way imports run, and how long things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("kg_r1", "verl_ext", "kblampp")
# Each layer may import itself and those before it.
LAYERS = ("kg_r1.kg", "kg_r1.search", "kg_r1.llm_agent", "kg_r1.reward")
TOPS = ("kg_r1.data", "kg_r1.eval")
TORCH_FILES = ("kg_r1/llm_agent/tensor_helper.py", "kg_r1/llm_agent/policies")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def source_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


def layer_of(module: str) -> int | None:
    for rank, layer in enumerate(LAYERS):
        if module == layer or module.startswith(layer + "."):
            return rank
    return None


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    relative = path.relative_to(ROOT)
    module = ".".join(relative.with_suffix("").parts)
    rank = layer_of(module)
    for imported in imports_of(path):
        if module.startswith("kg_r1"):
            assert not imported.startswith(("verl", "kblampp")), f"{relative} imports {imported}"
            if imported == "torch" or imported.startswith("torch."):
                assert str(relative).startswith(TORCH_FILES), f"{relative} imports torch"
        if module.startswith("kblampp"):
            assert not imported.startswith(("verl", "kg_r1")), f"{relative} imports {imported}"
        imported_rank = layer_of(imported)
        if rank is not None:
            assert not imported.startswith(TOPS), f"{relative} imports {imported}, which is above it"
            if imported_rank is not None:
                assert imported_rank <= rank, f"{relative} imports {imported}, which is above it"


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, f"{node.name} is too long"


def test_the_environment_loads_neither_torch_nor_verl() -> None:
    code = (
        "import sys, kg_r1.search.server, kg_r1.llm_agent.generation, kg_r1.reward.rubric\n"
        "print([name for name in ('torch', 'verl', 'ray', 'vllm') if name in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "[]"
