"""What the documents name must exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kg_r1.eval.options import parser
from kg_r1.search.actions import ACTION_REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "data_kg" / "README.md"]
# Folders that a run or an install makes; a page may name what will be in them.
MADE = ("runs/", "models/", "data_kg/", ".venv/", "outputs/")
PATH = re.compile(
    r"(?<![\w/.-])((?:kg_r1|verl_ext|configs|scripts|tests|docs|examples|requirements|data_kg|benchmarks)/"
    r"[\w./-]*\w)"
)
MODULE = re.compile(r"python3? -m ((?:kg_r1|verl_ext)[\w.]*)")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)\b")
OPTION = re.compile(r"(?<![\w-])(--[a-z][\w-]*)")
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> list[str]:
    """Fenced blocks, then inline spans: fences first, since an odd backtick would turn prose into code."""
    text = page.read_text(encoding="utf-8")
    return [*FENCED.findall(text), *re.findall(r"`([^`\n]+)`", FENCED.sub("", text))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_named_exists(page: Path) -> None:
    for name in PATH.findall(page.read_text(encoding="utf-8")):
        if name.startswith(MADE) and name != "data_kg/README.md":
            continue
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_run_exists(page: Path) -> None:
    for name in MODULE.findall(page.read_text(encoding="utf-8")):
        path = ROOT / Path(*name.rstrip(".").split("."))
        assert path.with_suffix(".py").is_file(), f"{page.name} runs {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for name in TARGET.findall("\n".join(code_of(page))):
        assert name in targets, f"{page.name} names make {name}"


@pytest.mark.parametrize(
    "module",
    [
        "kg_r1.data.build",
        "verl_ext.fetch_model",
        "verl_ext.cold_start",
        "verl_ext.walks",
        "verl_ext.evaluate",
        "verl_ext.curves",
    ],
)
def test_every_option_shown_with_a_command_is_one(module: str) -> None:
    shown = set()
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            if f"-m {module}" in line:
                command = line.split(f"-m {module}", 1)[1].split("`")[0].split("#")[0]
                shown.update(OPTION.findall(command))
    help_text = ""
    subcommands = ["world", "metaqa", "walks"] if module == "kg_r1.data.build" else [None]
    for subcommand in subcommands:
        command = [sys.executable, "-m", module, *([subcommand] if subcommand else []), "--help"]
        help_text += subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    if module == "verl_ext.evaluate":  # the rest of its options it hands on
        help_text += parser().format_help()
    assert shown <= set(OPTION.findall(help_text))


def test_every_action_is_documented() -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    for spec in ACTION_REGISTRY.specs():
        assert f"`{spec.name}" in page, f"docs/server.md says nothing of {spec.name}"
