"""The episodes of an evaluation on disk: one line each as they finish, so that nothing played is lost.

While playing, lines are appended to `episodes.jsonl.part`; when all are there, they are put in order and
become `episodes.jsonl` in one step. `settings.json` stands beside them and says what they were played with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from kg_r1.data.files import write_lines, write_text

EPISODES = "episodes.jsonl"
PART = "episodes.jsonl.part"
SETTINGS = "settings.json"


class Key(NamedTuple):
    """Which episode a line is."""

    system: str
    question_id: str
    sample: int


class OtherSettings(ValueError):
    """The folder holds episodes that were played otherwise; the text is one line that says how."""


class EpisodesFile:
    """The episodes of one folder.

    Args:
        folder: made if need be.
        settings: what every episode here is played with, as plain JSON types.
        systems: the systems asked for; those that were played here before must be among them.
        num_samples: episodes per question and system; not less than were asked for here before.

    Raises:
        OtherSettings: the folder was used with other settings, or for more than is asked for now.
        ValueError: a file in it is not what an evaluation writes.
        OSError: it cannot be read or written.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], systems: Sequence[str], num_samples: int
    ) -> None:
        self.folder = folder
        self._settings = {
            "settings": json.loads(json.dumps(settings)),
            "systems": list(systems),
            "num_samples": num_samples,
        }
        self.seconds: dict[str, float] = {}
        self._file: Any = None
        folder.mkdir(parents=True, exist_ok=True)
        self._ends_inside_line = False
        self.done = {key for key, _ in self._records()}
        if self.done:  # settings that nothing was played with bind nobody
            self._check_settings()

    @property
    def is_finished(self) -> bool:
        """Whether the last command that added episodes here played all of them."""
        return (self.folder / EPISODES).exists() and not (self.folder / PART).exists()

    def __enter__(self) -> EpisodesFile:
        self._write_settings()
        part = self.folder / PART
        if not part.exists() and (self.folder / EPISODES).exists():
            # More is asked for than last time: what is finished is the beginning of what will be.
            write_lines(part, [line for _, line in self._records()])
        if self._ends_inside_line:
            write_lines(part, [line for _, line in self._records()])
        self._file = part.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._write_settings()

    def add(self, record: Mapping[str, Any]) -> None:
        """Append one finished episode; it is with the operating system when this returns."""
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()
        self.done.add(_key(record))

    def finish(self, order: Sequence[Key]) -> Path:
        """Write `episodes.jsonl` with the episodes in the order given, whole; the part file goes.

        Raises KeyError for an episode that was not played.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        lines = dict(self._records())
        path = self.folder / EPISODES
        write_lines(path, [lines[key] for key in order])
        (self.folder / PART).unlink(missing_ok=True)
        return path

    def _records(self) -> Iterator[tuple[Key, str]]:
        """The lines there are, with what each is; the part file's where there is one.

        A last line without its end was being written when the power went: it was not finished.
        """
        path = next((self.folder / name for name in (PART, EPISODES) if (self.folder / name).exists()), None)
        if path is None:
            return
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    self._ends_inside_line = True
                    return
                try:
                    yield _key(json.loads(line)), line[:-1]
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(f"{path}:{number} is not an episode of an evaluation") from error

    def _check_settings(self) -> None:
        path = self.folder / SETTINGS
        if not path.exists():
            raise OtherSettings(f"{self.folder} holds episodes without {SETTINGS}; choose another --out")
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            self.seconds = {str(name): float(value) for name, value in before["seconds"].items()}
            different = _differences(before, self._settings)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not what an evaluation writes") from error
        if different:
            raise OtherSettings(
                f"{self.folder} holds an evaluation with other settings ({'; '.join(different)}); "
                "choose another --out, or the settings it has"
            )

    def _write_settings(self) -> None:
        text = json.dumps({**self._settings, "seconds": self.seconds}, ensure_ascii=False, indent=1)
        write_text(self.folder / SETTINGS, text + "\n")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where the settings of a folder and those asked for differ, in words; more systems or samples do not."""
    old, new = before["settings"], now["settings"]
    found = [
        f"{name}: {_short(old.get(name))} there, {_short(new.get(name))} here"
        for name in sorted(set(old) | set(new))
        if old.get(name) != new.get(name)
    ]
    if missing := [name for name in before["systems"] if name not in now["systems"]]:
        found.append(f"systems: {', '.join(missing)} there, not here")
    if before["num_samples"] > now["num_samples"]:
        found.append(f"num_samples: {before['num_samples']} there, {now['num_samples']} here")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


def _key(record: Mapping[str, Any]) -> Key:
    return Key(str(record["system"]), str(record["question"]["question_id"]), int(record["sample"]))
