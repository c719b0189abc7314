"""Facts of a synthetic world: ``python -m kblampp.offline.gen_synth_world --config FILE``.

A seeded grammar writes them. An endpoint, where one is named, rewords their sentences.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from kblampp.command import run
from kblampp.config import config_from_flags
from kblampp.offline.command import add_endpoint_flags, rewriter_from_flags
from kblampp.offline.rewriting import Rewriter
from kblampp.offline.synth_world import world_facts
from kblampp.quintuples import Quintuple, write_quintuples


def generate(arguments: argparse.Namespace) -> None:
    """Writes the facts that the arguments ask for. Raises KblamppError."""
    config = config_from_flags(arguments)
    path = Path(config.train_5tuple_path)
    pipeline = config.pipeline
    facts = world_facts(pipeline.num_facts, pipeline.seed, pipeline.is_confusable)
    rewriter = rewriter_from_flags(arguments, config, path)
    with rewriter or nullcontext():
        shown = tqdm(facts, total=pipeline.num_facts, desc="facts", unit="fact")
        number = write_quintuples(path, shown if rewriter is None else _reworded(shown, rewriter))
    sys.stdout.write(f"{path}: {number} facts\n")
    if rewriter is not None:
        sys.stdout.write(f"{rewriter.num_rewritten} sentences reworded, {rewriter.num_refused} refused\n")


def _reworded(facts: Iterable[Quintuple], rewriter: Rewriter) -> Iterator[Quintuple]:
    for fact in facts:
        sides = (fact.time_window.start, fact.time_window.end)
        kept = [fact.head, fact.tail, *(str(side.year) for side in sides if side)]
        yield replace(fact, context=rewriter(fact.context, kept))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kblampp.offline.gen_synth_world",
        description="Make the facts of a synthetic world.",
    )
    add_endpoint_flags(parser)
    return run(parser, generate, argv)


if __name__ == "__main__":
    sys.exit(main())
