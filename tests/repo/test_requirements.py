"""The lists of packages: whole, exact, and in agreement with each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!]+)")
WHOLE = ("cpu", "gpu")
# torch itself, and what chooses its version by torch's or by vLLM's.
OF_TORCH = {"torch", "transformers", "triton", "xgrammar", "apache-tvm-ffi"}


def lines_of(name: str) -> list[str]:
    lines = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pins_of(name: str) -> dict[str, str]:
    matches = (PIN.fullmatch(line) for line in lines_of(name))
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def requirements_of(name: str, version: str) -> Iterator[str]:
    """What a package needs, if it is installed here in this version."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    for line in found.requires or () if found.version == version else ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


@pytest.mark.parametrize("name", [*WHOLE, "dev"])
def test_every_line_pins_one_package_exactly(name: str) -> None:
    lines = lines_of(name)
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    assert len(pins_of(name)) == len(lines)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_list_has_the_environment_within_its_ranges(name: str) -> None:
    pins = pins_of(name)
    for line in lines_of("base"):
        requirement = Requirement(line)
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{name}.txt lacks {line}"
        assert requirement.specifier.contains(version), f"{name}.txt has {version} of {line}"


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_list_has_what_its_packages_need(name: str) -> None:
    pins = pins_of(name)
    # torch's own needs differ between its builds.
    needed = {need for one in pins if one != "torch" for need in requirements_of(one, pins[one])}
    assert needed - set(pins) == set()
    assert len(needed) > 100


def test_the_lists_agree() -> None:
    cpu, gpu, dev = (pins_of(name) for name in (*WHOLE, "dev"))
    assert {one for one in cpu.keys() & gpu.keys() if cpu[one] != gpu[one]} <= OF_TORCH
    for pins in (cpu, gpu):
        assert {one: pins[one] for one in dev.keys() & pins.keys() if dev[one] != pins[one]} == {}
    assert {"verl", "vllm", "torch"} <= gpu.keys()
