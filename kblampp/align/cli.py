"""`kblampp-align`: six steps from an empty folder to a small encoder that searches a large one's index."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from kblampp.align import steps
from kblampp.align.errors import AlignError
from kblampp.align.providers import DEFAULT_HOST
from kblampp.encoders.config import PRECISIONS, Training
from kblampp.encoders.errors import EncoderError

DEFAULT_STUDENT = "hf:models/all-MiniLM-L6-v2"
DEFAULT_TEACHER = "hf:models/SmolLM2-135M-Instruct"
KEY_VARIABLE = "KBLAMPP_ALIGN_KEY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one step; 2 when it cannot, with one line on stderr."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "sentence_transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        sys.stdout.write(options.step(options) + "\n")
    except (AlignError, EncoderError) as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from what was kept\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kblampp-align", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="STEP")

    def command(name: str, step: Callable[[argparse.Namespace], str], says: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=says, description=says)
        made.add_argument(
            "--folder", type=Path, default=Path("runs/align"), help="where data, artifacts and reports lie"
        )
        if name != "build-dataset":
            made.add_argument(
                "--dtype", choices=PRECISIONS, default="float32", help="of weights of hf: models"
            )
        made.set_defaults(step=step, key=os.environ.get(KEY_VARIABLE))
        return made

    check = command("env-check", steps.env_check, "ask student and teacher for one vector each")
    _add_student(check)
    check.add_argument("--teacher-host", default=DEFAULT_HOST, help="the teacher's server")
    check.add_argument("--teacher-model", default=DEFAULT_TEACHER, help="hf:FOLDER, or a server's model")

    build = command("build-dataset", steps.build_dataset_step, "write sentences, paraphrases, negatives")
    build.add_argument("--target", type=int, default=1000, help="sentences")
    build.add_argument("--distractors", type=int, default=10_000, help="further texts to search among")
    build.add_argument("--texts", type=Path, help="a file of further texts to learn from, one a line")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--llm-base-url", help="an OpenAI-compatible server that paraphrases, up to /v1")
    build.add_argument("--llm-model", default="default", help="its model")

    cache = command("cache-teacher", steps.cache_teacher, "ask the teacher for every vector, once")
    cache.add_argument("--host", default=DEFAULT_HOST, help="Ollama, or an address that ends with /v1")
    cache.add_argument("--model", default=DEFAULT_TEACHER, help="hf:FOLDER, or a server's model")

    adapt = command("adapt-student", steps.adapt, "optional: teach a local student itself before its head")
    _add_student(adapt)
    adapt.add_argument("--out", type=Path, required=True, help="a new folder for the taught student")
    adapt.add_argument("--training", choices=get_args(Training), default="lora", help="what of it is trained")
    adapt.add_argument("--epochs", type=int, default=4)
    adapt.add_argument("--batch-size", type=int, default=32)
    adapt.add_argument("--lr", type=float, default=5e-4)
    _add_loss(adapt)

    train = command("train", steps.train, "train the head on cached vectors")
    _add_student(train)
    train.add_argument("--epochs", type=int, default=30)
    train.add_argument("--batch-size", type=int, default=64)
    train.add_argument("--lr", type=float, default=1e-3)
    train.add_argument("--weight-decay", type=float, default=1e-4)
    _add_loss(train)

    evaluate = command("eval", steps.evaluate_step, "compare head, closed forms and controls; write reports")
    _add_student(evaluate)
    evaluate.add_argument("--seed", type=int, default=0, help="of the controls")

    demo = command("demo", steps.demo, "search a few test sentences on the processor")
    _add_student(demo)
    demo.add_argument("--samples", type=int, default=5)
    demo.add_argument("--topk", type=int, default=5)
    demo.add_argument("--seed", type=int, default=0)
    return parser


def _add_loss(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--head", choices=("linear", "mlp"), default="linear")
    parser.add_argument("--mse-weight", type=float, default=0.1)
    parser.add_argument("--contrast-weight", type=float, default=0.0, help="of InfoNCE")
    parser.add_argument("--seed", type=int, default=0)


def _add_student(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--student-host", default=DEFAULT_HOST, help="the student's server")
    parser.add_argument("--student-model", default=DEFAULT_STUDENT, help="hf:FOLDER, or a server's model")


if __name__ == "__main__":
    sys.exit(main())
