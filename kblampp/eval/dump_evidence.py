"""What each answer rests on, as one JSON file.

    python -m kblampp.eval.dump_evidence --config configs/synth_world.yaml \
        --backbone configs/backbone_smollm.yaml --checkpoint runs/kblampp/synth_world/final \
        --out runs/kblampp/evidence.json
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kblampp.answering import load_answerer
from kblampp.command import require_positive, run
from kblampp.config import Config, add_config_flags, config_from_flags
from kblampp.eval.evidence import as_text, records_of, summarise, write_evidence
from kblampp.questions import Question, read_questions


def dump(
    config: Config,
    checkpoint: Path | None,
    questions: Sequence[Question],
    out: Path,
    *,
    is_causal: bool,
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """Asks the questions and writes the file; returns its records. Raises as `load_answerer` does."""
    answerer = load_answerer(config, checkpoint)
    records: list[dict[str, Any]] = []
    with tqdm(total=len(questions), desc="evidence", unit="question", file=sys.stderr) as bar:
        for start in range(0, len(questions), batch_size):
            for record in records_of(answerer, questions[start : start + batch_size], is_causal=is_causal):
                records.append(record)
                bar.update()
    about = {
        "backbone": config.backbone,
        "checkpoint": str(checkpoint) if checkpoint else None,
        "store": config.store.path,
        "num_facts": len(answerer.retriever.store),
        "K_top": config.K_top,
        "num_hops": config.num_hops,
        "is_causal": is_causal,
    }
    write_evidence(out, about, records)
    return records


def dump_from_flags(arguments: argparse.Namespace) -> None:
    """Writes the evidence and prints its summary. Raises KblamppError."""
    require_positive(arguments, "max_questions", "batch_size")
    config = config_from_flags(arguments)
    questions = read_questions(arguments.questions or Path(config.test_qa_path))
    records = dump(
        config,
        arguments.checkpoint,
        questions[: arguments.max_questions],
        arguments.out,
        is_causal=arguments.causal,
        batch_size=arguments.batch_size,
    )
    sys.stdout.write(f"{as_text(summarise(records))}\n{arguments.out}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the evidence. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.eval.dump_evidence", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="folder of trained modules; none: untrained")
    parser.add_argument("--questions", type=Path, help="default: test_qa_path of the config")
    parser.add_argument("--max-questions", type=int, help="the first so many")
    parser.add_argument("--causal", action="store_true", help="remove facts and look at the answer again")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    add_config_flags(parser)
    return run(parser, dump_from_flags, argv, log_level=logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
