"""The sentences to align on: each with paraphrases and hard negatives, in a train and a test split.

A hard negative is the sentence with one slot changed: nearly the same words, another meaning. The templates
of the test split occur in no training sentence.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kblampp.align.errors import DatasetError
from kblampp.align.frames import Frame, fill, read_frames, read_slots, split_frames
from kblampp.files import write_text

NUM_PARAPHRASES = 4
NUM_HARD_NEGATIVES = 3
TEST_SHARE = 0.1
_MAX_TRIES = 100


@dataclass(frozen=True)
class Sentence:
    """One sentence: what says the same, and what nearly does."""

    sentence_id: str
    split: str
    domain: str
    frame: str
    text: str
    paraphrases: tuple[str, ...]
    hard_negatives: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them."""
        return (self.text, *self.paraphrases, *self.hard_negatives)


def build_dataset(num_sentences: int, seed: int = 0) -> list[Sentence]:
    """Sentences from the frames: a tenth for the test, the domains alike; no text stands in both splits.

    Raises DatasetError when the frames do not give so many.
    """
    slots, frames = read_slots(), split_frames(read_frames(), seed)
    num_test = max(1, round(num_sentences * TEST_SHARE))
    taken: set[str] = set()
    made: list[Sentence] = []
    for split, number in (("train", num_sentences - num_test), ("test", num_test)):
        rng = random.Random(f"{seed}:{split}")
        for index in range(number):
            frame = frames[split][index % len(frames[split])]
            made.append(_sentence(rng, frame, slots, f"{split}-{index:06d}", split, taken))
    return made


def _sentence(
    rng: random.Random,
    frame: Frame,
    slots: dict[str, tuple[str, ...]],
    sentence_id: str,
    split: str,
    taken: set[str],
) -> Sentence:
    for _ in range(_MAX_TRIES):
        values = {slot: rng.choice(slots[slot]) for slot in frame.slots}
        first, *others = rng.sample(frame.templates, NUM_PARAPHRASES + 1)
        texts = [fill(first, values), *(fill(template, values) for template in others)]
        if not taken.isdisjoint(texts):
            continue
        taken.update(texts)
        changed = rng.choices(frame.slots, k=NUM_HARD_NEGATIVES)
        negatives: dict[str, None] = {}
        for slot in changed:
            others_of_slot = [value for value in slots[slot] if value != values[slot]]
            while (text := fill(first, {**values, slot: rng.choice(others_of_slot)})) in negatives:
                pass
            negatives[text] = None
        return Sentence(
            sentence_id, split, frame.domain, frame.name, texts[0], tuple(texts[1:]), tuple(negatives)
        )
    raise DatasetError(
        f"the frame {frame.domain}/{frame.name} gives no further sentence; ask for fewer with --target, "
        "or add slots or frames in kblampp/align/frames"
    )


def build_distractors(num_wanted: int, sentences: Iterable[Sentence], seed: int = 0) -> list[str]:
    """Texts from all frames that stand nowhere in the data set, each once, to search among.

    Raises DatasetError when the frames do not give so many.
    """
    slots, frames = read_slots(), read_frames()
    rng = random.Random(f"{seed}:distractors")
    taken = set(unique_texts(sentences))
    made: dict[str, None] = {}
    for _ in range(num_wanted * _MAX_TRIES):
        if len(made) == num_wanted:
            return list(made)
        frame = rng.choice(frames)
        values = {slot: rng.choice(slots[slot]) for slot in frame.slots}
        text = fill(rng.choice(frame.templates), values)
        if text not in taken:
            made[text] = None
    if len(made) < num_wanted:
        raise DatasetError(f"the frames give {len(made)} distractors; ask for no more with --distractors")
    return list(made)


def read_texts(path: Path, known: set[str]) -> list[str]:
    """Texts of one's own, one a line, each once and without those of `known`.

    Raises DatasetError for a file that cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the texts {path}: {error}; give a file with one a line") from error
    return [text for text in dict.fromkeys(line.strip() for line in lines) if text and text not in known]


def write_dataset(path: Path, sentences: Iterable[Sentence]) -> None:
    """One JSON object a line, whole or not at all."""
    write_text(path, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in sentences))


def read_dataset(path: Path) -> list[Sentence]:
    """Reads what `write_dataset` wrote. Raises DatasetError that names the file and the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DatasetError(
            f"cannot read the data set {path}: {error.strerror}; `kblampp-align build-dataset` makes it"
        ) from error
    read = []
    for number, line in enumerate(lines, start=1):
        try:
            fields = json.loads(line)
            lists = {name: tuple(fields[name]) for name in ("paraphrases", "hard_negatives")}
            one = Sentence(**{**fields, **lists})
        except (ValueError, TypeError, KeyError) as error:
            raise DatasetError(f"{path}:{number}: no sentence of an alignment data set: {error!r}") from error
        if not all(isinstance(text, str) and text for text in one.texts) or one.split not in (
            "train",
            "test",
        ):
            raise DatasetError(f"{path}:{number}: texts must not be empty, and the split is train or test")
        read.append(one)
    return read


def of_split(sentences: Sequence[Sentence], split: str) -> list[Sentence]:
    """Those of one split. Raises DatasetError when there are none."""
    chosen = [one for one in sentences if one.split == split]
    if not chosen:
        raise DatasetError(
            f"the data set has no sentences of the split {split!r}; build it with more of them"
        )
    return chosen


def unique_texts(sentences: Iterable[Sentence]) -> list[str]:
    """Every text once, in order."""
    return list(dict.fromkeys(text for one in sentences for text in one.texts))
