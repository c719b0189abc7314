"""From nothing to an index: `python -m kblampp.offline.run_pipeline --config configs/synth_world.yaml`.

Steps whose inputs are those of the last run are passed over; `--force` runs them all the same. Each step
writes its files whole or not at all and is noted when it is done, so that an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kblampp.command import run
from kblampp.config import Config, add_config_flags, config_from_flags
from kblampp.errors import ArtefactMissing, KblamppError
from kblampp.files import write_text
from kblampp.kb_store import FACTS, MANIFEST, sha256_of
from kblampp.knowledge_index import INDEX_FOLDER
from kblampp.offline import (
    build_5tuple_from_hotpot,
    build_5tuple_from_kg,
    build_5tuple_from_timeqa,
    build_5tuple_from_trex,
    build_index,
    encode_kv,
    gen_synth_qa,
    gen_synth_world,
)

Command = Callable[[Sequence[str]], int]
_BUILDERS: dict[str, Command] = {
    "hotpot": build_5tuple_from_hotpot.main,
    "timeqa": build_5tuple_from_timeqa.main,
    "trex": build_5tuple_from_trex.main,
    "kg": build_5tuple_from_kg.main,
}


@dataclass(frozen=True)
class Step:
    """One step of the pipeline."""

    name: str
    run: Command
    inputs: tuple[Path, ...]
    """Files that it reads; an earlier step makes them, or the user brings them."""
    outputs: tuple[Path, ...]
    settings: dict[str, Any]
    """What of the config its files depend on."""


def steps_of(config: Config) -> list[Step]:
    """The steps of a config's source, in order: facts, questions (of a synthetic world), encode, index."""
    facts, store = Path(config.train_5tuple_path), Path(config.store.path)
    questions = tuple(Path(path) for path in (config.train_qa_path, config.dev_qa_path, config.test_qa_path))
    source = asdict(config.pipeline)
    encoding = {
        name: getattr(config, name) for name in ("embedding_model", "backbone", "use_chat_template")
    } | {name: getattr(config.store, name) for name in ("max_tail_tokens", "value_text")}
    index = {name: getattr(config.store, name) for name in ("hnsw_m", "ef_construction")}
    if config.pipeline.source == "synth_world":
        of_facts = {
            key: value for key, value in source.items() if not key.startswith(("num_t", "num_d", "share"))
        }
        made = [
            Step("facts", gen_synth_world.main, (), (facts,), of_facts),
            Step("questions", gen_synth_qa.main, (facts,), questions, source),
        ]
    else:
        brought = Path(config.pipeline.input_path or "")
        files = (
            (brought,) if brought.is_file() else tuple(sorted(it for it in brought.glob("*") if it.is_file()))
        )
        made = [Step("facts", _BUILDERS[config.pipeline.source], files, (facts, *questions), source)]
    return [
        *made,
        Step(
            "encode", encode_kv.main, (facts,), (store / MANIFEST, store / FACTS, store / "K.npy"), encoding
        ),
        Step(
            "index",
            build_index.main,
            (store / MANIFEST, store / "K.npy"),
            (store / INDEX_FOLDER / "keys.faiss", store / INDEX_FOLDER / "index.json"),
            index,
        ),
    ]


class Notes:
    """What each step was last run with, and what it left: one JSON file beside the store."""

    def __init__(self, config: Config) -> None:
        store = Path(config.store.path)
        self.path = store.parent / f"{store.name}.pipeline.json"
        self._notes: dict[str, Any] = (
            json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}
        )

    def why_stale(self, step: Step) -> str | None:
        """Why a step must run; None when its files are those of its inputs and settings."""
        noted = self._notes.get(step.name)
        if missing := [path for path in step.outputs if not path.is_file()]:
            return f"{missing[0]} is not there"
        if noted is None:
            return "it is not noted as done"
        if noted["settings"] != json.loads(json.dumps(step.settings)):
            return "its settings changed"
        for kind, paths in (("inputs", step.inputs), ("outputs", step.outputs)):
            for path in paths:
                if noted[kind].get(str(path)) != sha256_of(path):
                    return f"{path} changed"
        return None

    def done(self, step: Step) -> None:
        """Notes a step as done."""
        self._notes[step.name] = {
            "settings": step.settings,
            "inputs": {str(path): sha256_of(path) for path in step.inputs},
            "outputs": {str(path): sha256_of(path) for path in step.outputs},
        }
        write_text(self.path, json.dumps(self._notes, indent=1) + "\n")


def check_inputs(step: Step, all_steps: Sequence[Step]) -> None:
    """Raises ArtefactMissing for an input that is not there, naming the step that makes it."""
    makers = {path: maker.name for maker in all_steps for path in maker.outputs}
    for path in step.inputs:
        if not path.is_file():
            maker = makers.get(path)
            way = f"run the step {maker!r} first (--steps {maker})" if maker else "see docs/kblampp_data.md"
            raise ArtefactMissing(f"step {step.name!r} needs {path}, which is not there; {way}")


def run_steps(config: Config, wanted: Sequence[str] | None, is_forced: bool, arguments: Sequence[str]) -> int:
    """Runs the steps that are wanted and stale.

    Args:
        config: of the run.
        wanted: names of steps; None takes all.
        is_forced: runs fresh steps too.
        arguments: handed on to each step's command.

    Returns:
        The exit code of the first step that failed, else 0.

    Raises:
        ArtefactMissing: a step lacks an input.
    """
    steps, notes = steps_of(config), Notes(config)
    if unknown := sorted(set(wanted or ()) - {step.name for step in steps}):
        raise KblamppError(
            f"there is no step {unknown[0]!r}; there are {', '.join(step.name for step in steps)}"
        )
    if config.pipeline.source != "synth_world" and not config.pipeline.input_path:
        raise KblamppError(f"pipeline.input_path: name the file of {config.pipeline.source}")
    for step in steps:
        if wanted is not None and step.name not in wanted:
            continue
        check_inputs(step, steps)
        reason = "forced" if is_forced else notes.why_stale(step)
        if reason is None:
            sys.stdout.write(f"{step.name}: up to date\n")
            continue
        sys.stderr.write(f"{step.name}: {reason}; running it\n")
        handed = list(arguments)
        if step.name == "facts" and config.pipeline.source != "synth_world":
            handed += ["--input", str(config.pipeline.input_path)]
        if code := step.run(handed):
            return code
        notes.done(step)
    return 0


def run_from_flags(arguments: argparse.Namespace) -> int:
    """Runs the steps that the arguments ask for. Raises KblamppError."""
    names = arguments.steps
    if names is not None:
        # --steps takes every word behind it; those with a '=' are overrides.
        arguments.overrides = [*arguments.overrides, *(name for name in names if "=" in name)]
        names = [name for name in names if "=" not in name]
    config = config_from_flags(arguments)
    return run_steps(config, names, arguments.force, _handed_on(arguments))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the pipeline. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.offline.run_pipeline", description=__doc__)
    steps = "facts, questions, encode, index; default: all"
    parser.add_argument("--steps", nargs="+", metavar="STEP", help=steps)
    parser.add_argument("--force", action="store_true", help="run steps that are up to date as well")
    add_config_flags(parser)
    return run(parser, run_from_flags, argv)


def _handed_on(arguments: argparse.Namespace) -> list[str]:
    """The arguments that every step's command takes."""
    handed = ["--config", str(arguments.config)]
    if arguments.backbone is not None:
        handed += ["--backbone", str(arguments.backbone)]
    if arguments.device is not None:
        handed += ["--device", arguments.device]
    return [*handed, *arguments.overrides]


if __name__ == "__main__":
    sys.exit(main())
