"""One HTML file to read an evaluation with: tables, plots and every episode. It loads nothing else.

KG names and model texts are hostile until shown otherwise: they go into the page as JSON alone, with nothing
in it that could end its script element, and the page's script makes text nodes of them. The page's policy
allows the one style and the one script that this module puts there, by their hashes, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from kg_r1.data.files import write_whole
from kg_r1.eval.page_episodes import EpisodeTable, common_prefix
from kg_r1.eval.page_files import ReportError, episode_at, read_episodes, read_report
from kg_r1.eval.page_summary import EpisodeFacts, histograms, summary_of_logs

__all__ = ["ReportError", "write_episode_explorer", "write_html_report"]

MAX_PAGE_BYTES = 15_000_000
SCRIPTS = (
    "dom",
    "tables",
    "plots",
    "episode_list",
    "graph_model",
    "graph_layout",
    "graph",
    "episode",
    "main",
)
# `<` could end the script element; the other two end a line in old scripts.
_UNSAFE = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def write_html_report(folder: Path, max_bytes: int = MAX_PAGE_BYTES) -> Path:
    """Write ``report.html`` from ``report.json`` and ``episodes.jsonl`` of a folder, whole or not at all.

    Args:
        folder: what `kg-r1 eval` wrote.
        max_bytes: of the episodes in the page; of larger evaluations the first N of each system are kept, and
            the page says so.

    Returns:
        The path written.

    Raises:
        ReportError: a file is missing or broken, or the page cannot be written.
    """
    report = read_report(folder / "report.json")
    kinds = {system["name"]: system["kind"] for system in report["systems"]}
    log = _Log(dict.fromkeys(kinds))
    log.read(folder / "episodes.jsonl")
    page = {
        "title": f"Evaluation of {report['model']}",
        "by": "system",
        "report": {name: value for name, value in report.items() if name != "systems"},
        "systems": report["systems"],
        **log.to_dict(max_bytes, kinds),
    }
    return _write(folder / "report.html", page)


def write_episode_explorer(logs: Sequence[Path], out: Path, max_bytes: int = MAX_PAGE_BYTES) -> Path:
    """Write a page of the episodes in validation logs of training, whole or not at all.

    Args:
        logs: files with one episode a line, each of one step. Steps that two files share are told apart by
            the files' paths.
        out: the page.
        max_bytes: as in `write_html_report`, by step.

    Returns:
        The path written.

    Raises:
        ReportError: a log is missing or broken, there is no episode, or the page cannot be written.
    """
    paths = list(dict.fromkeys(logs))
    steps = {path: _step_of(path) for path in paths}
    times = Counter(steps.values())
    log = _Log({})
    for path in paths:
        name = steps[path] if times[steps[path]] == 1 else f"{steps[path]} of {path}"
        log.read(path, name)
    if not log.facts:
        raise ReportError(f"there is no episode in {', '.join(map(str, paths)) or 'no file'}")
    page = {
        "title": f"Episodes of {', '.join(dict.fromkeys(steps.values()))}",
        "by": "step",
        "report": None,
        "systems": summary_of_logs(log.facts),
        **log.to_dict(max_bytes, {}),
    }
    return _write(out, page)


class _Log:
    """Where the episodes of each group stand, and what the plots need of them; the episodes stay on disk."""

    def __init__(self, groups: Mapping[str, None]) -> None:
        self.facts: list[EpisodeFacts] = []
        self._places: dict[str, list[tuple[Path, int]]] = {name: [] for name in groups}
        self._prefixes: dict[str, str] = {}

    def read(self, path: Path, name: str | None = None) -> None:
        """Take in a log as one group, or, without a name, by the system that each line names."""
        for offset, record in read_episodes(path):
            group = str(record.get("system", "model")) if name is None else name
            self._places.setdefault(group, []).append((path, offset))
            self.facts.append(EpisodeFacts.of(record, group))
            prompt = str(record.get("prompt") or "")
            self._prefixes[group] = common_prefix([self._prefixes.get(group, prompt), prompt])

    def to_dict(self, max_bytes: int, kinds: Mapping[str, str]) -> dict[str, Any]:
        """The first episodes of each group, equally many as far as there are any, up to a size."""
        table = EpisodeTable()
        num_shown = 0
        largest = max(map(len, self._places.values()), default=0)
        while num_shown < largest and (num_shown == 0 or table.num_bytes < max_bytes):
            for index, (name, places) in enumerate(self._places.items()):
                if num_shown < len(places):
                    record = episode_at(*places[num_shown])
                    table.add(record, index, name, self._prefixes[name])
            num_shown += 1
        groups = [
            {
                "name": name,
                "kind": kinds.get(name, "model"),
                "num_episodes": len(places),
                "num_shown": min(len(places), num_shown),
                "prompt_prefix": self._prefixes.get(name, ""),
            }
            for name, places in self._places.items()
        ]
        return {"groups": groups, "histograms": histograms(self.facts), **table.to_dict()}


def _step_of(path: Path) -> str:
    """What the first episode of a log says, or the file's name."""
    for _, record in read_episodes(path):
        return f"step {record['step']}" if "step" in record else path.stem
    return path.stem


def _write(path: Path, page: Mapping[str, Any]) -> Path:
    # A half of a surrogate pair, which JSON can hold and UTF-8 cannot, becomes a question mark.
    content = _page(page).encode("utf-8", errors="replace")
    try:
        write_whole(path, lambda file: file.write(content))
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _page(page: Mapping[str, Any]) -> str:
    source = files("kg_r1.eval") / "page"
    style = (source / "page.css").read_text(encoding="utf-8")
    parts = [(source / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"
    slots = {
        "policy": html.escape(
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        "title": html.escape(str(page["title"])),
        "style": style,
        "script": script,
        "data": embedded_json(page),
    }
    template = (source / "page.html").read_text(encoding="utf-8")
    # One pass: a slot's name inside the data stays what it is.
    return _SLOT.sub(lambda match: slots[match[1]], template)


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: the same value to a JSON reader, no `<` in its text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<\u2028\u2029]", lambda match: _UNSAFE[match[0]], text)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
