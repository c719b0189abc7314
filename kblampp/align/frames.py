"""Sentences with one meaning in several wordings: frames with slots, read from the files beside this one."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

NUM_TEMPLATES = 5  # of a frame: the sentence and its paraphrases
NUM_TEST_FRAMES = 2  # of a domain
DOMAINS = ("crm", "schedule", "operations", "open")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Frame:
    """One kind of statement: a domain, a name, and templates that say the same of the same slots."""

    domain: str
    name: str
    templates: tuple[str, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of its slots, in the order of the first template."""
        return tuple(dict.fromkeys(_SLOT.findall(self.templates[0])))


def read_slots() -> dict[str, tuple[str, ...]]:
    """Slot -> values."""
    slots = {}
    for line in _text("slots").splitlines():
        if line and not line.startswith("#"):
            name, _, values = line.partition(":")
            slots[name] = tuple(value.strip() for value in values.split("|"))
    return slots


def read_frames() -> list[Frame]:
    """All frames of all domains."""
    frames = []
    for domain in DOMAINS:
        for block in _text(domain).strip().split("\n\n"):
            name, *templates = block.splitlines()
            frames.append(Frame(domain, name.removeprefix("# "), tuple(templates)))
    return frames


def split_frames(frames: list[Frame], seed: int) -> dict[str, list[Frame]]:
    """'train' and 'test' -> frames: two frames of each domain are kept for the test, templates and all."""
    rng = random.Random(f"{seed}:frames")
    split: dict[str, list[Frame]] = {"train": [], "test": []}
    for domain in DOMAINS:
        drawn = [frame for frame in frames if frame.domain == domain]
        rng.shuffle(drawn)
        split["test"] += drawn[:NUM_TEST_FRAMES]
        split["train"] += drawn[NUM_TEST_FRAMES:]
    return split


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its slots filled, its first letter large."""
    text = template.format(**values)
    return text[:1].upper() + text[1:]


def _text(name: str) -> str:
    return (files("kblampp.align") / "frames" / f"{name}.txt").read_text(encoding="utf-8")
