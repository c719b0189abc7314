"""Questions about a synthetic world: ``python -m kblampp.offline.gen_synth_qa --config FILE``.

Reads the facts that gen_synth_world wrote. An endpoint, where one is named, rewords the questions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from tqdm import tqdm

from kblampp.command import run
from kblampp.config import config_from_flags
from kblampp.offline.command import (
    SPLITS,
    add_endpoint_flags,
    rewriter_from_flags,
    write_splits,
)
from kblampp.offline.synth_index import WorldIndex
from kblampp.offline.synth_questions import Maker


def generate(arguments: argparse.Namespace) -> None:
    """Writes the questions that the arguments ask for. Raises KblamppError."""
    config = config_from_flags(arguments)
    maker = Maker(WorldIndex(Path(config.train_5tuple_path), config.pipeline.seed), config.pipeline)
    rewriter = rewriter_from_flags(arguments, config, Path(config.train_qa_path))
    with (
        rewriter or nullcontext(),
        tqdm(desc="questions", unit="question", disable=rewriter is None) as bar,
    ):
        if rewriter is not None:

            def reword(text: str, kept: list[str]) -> str:
                bar.update()
                return rewriter(text, kept, "question")

            maker.reword = reword
        splits = maker.splits()
    write_splits(config, splits)
    if rewriter is not None:
        sys.stdout.write(f"{rewriter.num_rewritten} questions reworded, {rewriter.num_refused} refused\n")
    short = [split for split in SPLITS if len(splits[split]) < maker.num_wanted(split)]
    if short:
        told = ", ".join(f"{len(splits[name])} of {maker.num_wanted(name)} {name}" for name in short)
        sys.stderr.write(f"warning: the facts give only {told} questions without repeats\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kblampp.offline.gen_synth_qa",
        description="Make questions about a synthetic world from its file of facts.",
    )
    add_endpoint_flags(parser)
    return run(parser, generate, argv)


if __name__ == "__main__":
    sys.exit(main())
