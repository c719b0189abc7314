"""What the documents name must exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kblampp.align.cli import main as align
from kg_r1.eval.options import parser
from kg_r1.search.actions import ACTION_REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "data_kg" / "README.md"]
# Folders that a run or an install makes; a page may name what will be in them.
MADE = ("runs/", "models/", "data_kg/", ".venv/", "outputs/")
PATH = re.compile(
    r"(?<![\w/.-])((?:kg_r1|verl_ext|kblampp|configs|scripts|tests|docs|examples|requirements|data_kg|benchmarks)/"
    r"[\w./-]*\w)"
)
MODULE = re.compile(r"python3? -m ((?:kg_r1|verl_ext|kblampp)[\w.]*)")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)\b")
OPTION = re.compile(r"(?<![\w-])(--[a-z][\w-]*)")
STEP = re.compile(r"kblampp-align ([a-z][a-z-]*)")
STEPS = ("env-check", "build-dataset", "cache-teacher", "adapt-student", "train", "eval", "demo")
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
SUBCOMMANDS: dict[str, tuple[str | None, ...]] = {
    "kg_r1.data.build": ("world", "metaqa", "store", "walks"),
    "kblampp.zerog.cli": ("build-world", "train", "eval"),
}


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
        "kblampp.encoders.fetch",
        "kblampp.zerog.cli",
        "kblampp.offline.gen_synth_world",
        "kblampp.offline.gen_synth_qa",
        "kblampp.offline.build_5tuple_from_hotpot",
        "kblampp.offline.build_5tuple_from_timeqa",
        "kblampp.offline.build_5tuple_from_trex",
        "kblampp.offline.build_5tuple_from_kg",
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
    for subcommand in SUBCOMMANDS.get(module, (None,)):
        command = [sys.executable, "-m", module, *([subcommand] if subcommand else []), "--help"]
        help_text += subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    if module == "verl_ext.evaluate":  # the rest of its options it hands on
        help_text += parser().format_help()
    assert shown <= set(OPTION.findall(help_text))


@pytest.mark.parametrize("step", STEPS)
def test_every_option_shown_with_a_step_of_the_alignment_is_one(
    step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = set()
    for page in PAGES:
        for code in code_of(page):
            for line in code.replace("\\\n", " ").splitlines():
                if line.strip().startswith(f"kblampp-align {step}"):
                    shown.update(OPTION.findall(line.split("#")[0]))
    with pytest.raises(SystemExit):
        align([step, "--help"])
    assert shown <= set(OPTION.findall(capsys.readouterr().out))


def test_every_step_of_the_alignment_that_a_page_shows_exists() -> None:
    shown = {name for page in PAGES for code in code_of(page) for name in STEP.findall(code)}
    assert shown == set(STEPS)


def test_every_action_is_documented() -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    for spec in ACTION_REGISTRY.specs():
        assert f"`{spec.name}" in page, f"docs/server.md says nothing of {spec.name}"
