"""The command line: `python -m kblampp.zerog.cli {build-world,train,eval}`.

Results are one line of JSON and a table on stdout; progress is on stderr. A user's mistake is one line, exit
status 2.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from kblampp.encoders.config import TEXT_ENCODERS, EncoderConfig, add_encoder_flags, encoder_config
from kblampp.encoders.errors import EncoderError
from kblampp.encoders.loading import load_encoder
from kblampp.zerog.errors import OptionError, ZeroGError
from kblampp.zerog.evaluation import NODES, EvalConfig, evaluate, table
from kblampp.zerog.measuring import Measured
from kblampp.zerog.model import ModelConfig
from kblampp.zerog.readers import read_graph, write_json
from kblampp.zerog.training import TrainConfig, train
from kblampp.zerog.world import GRAPHS, read_world


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"error [usage]: {message}; {self.prog} --help lists the options\n")
        sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%X")
    for noisy in ("sentence_transformers", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        {"build-world": _build_world, "train": _train, "eval": _eval}[arguments.command](arguments)
    except (ZeroGError, EncoderError) as error:
        sys.stderr.write(f"error [{error.code}]: {' '.join(str(error).split())}\n")
        return 2
    return 0


def _build_world(arguments: argparse.Namespace) -> None:
    kg = read_world(arguments.world)
    made = []
    for name in arguments.graphs or GRAPHS:
        graph = GRAPHS[name](kg, seed=arguments.seed, max_nodes=arguments.max_nodes)
        path = arguments.out / f"{name}.json"
        write_json(graph, path)
        made.append(
            {
                "graph": str(path),
                "num_nodes": graph.num_nodes,
                "num_edges": graph.edge_index.shape[1],
                "num_labels": graph.num_labels,
            }
        )
    _print_json({"seed": arguments.seed, "graphs": made})
    for row in made:
        print_line(
            f"{row['graph']}  {row['num_nodes']} nodes  {row['num_edges']} edges  {row['num_labels']} labels"
        )


def _train(arguments: argparse.Namespace) -> None:
    config = TrainConfig(
        training=arguments.training,
        num_epochs=arguments.num_epochs,
        learning_rate=arguments.learning_rate,
        nodes_per_batch=arguments.nodes_per_batch,
        num_hops=arguments.num_hops,
        max_nodes=arguments.max_nodes,
        seed=arguments.seed,
    )
    model = _model_config(arguments)
    graphs = [read_graph(path, arguments.split_seed) for path in arguments.graph]
    encoder = load_encoder(encoder_config(arguments))
    with Measured() as measured:
        record = train(encoder, graphs, model, config, arguments.out)
    encoder.close()
    _print_json(
        {
            "checkpoint": str(arguments.out),
            "epoch": record.epoch,
            "seconds": round(measured.seconds, 1),
            "peak_mib": round(measured.peak_mib),
            "history": record.history,
        }
    )
    print_line("epoch  loss   val accuracy  val macro F1")
    for row in record.history:
        loss = "-" if row["loss"] is None else f"{row['loss']:.3f}"
        mark = "  kept" if row["epoch"] == record.epoch else ""
        print_line(
            f"{row['epoch']:>5}  {loss:<5}  {row['val_accuracy']:>12.3f}  {row['val_macro_f1']:>12.3f}{mark}"
        )


def _eval(arguments: argparse.Namespace) -> None:
    machine = encoder_config(arguments)
    checkpoints = tuple(arguments.checkpoint)
    encoders = tuple(_compared(given, machine) for given in arguments.compare)
    if not encoders and not checkpoints:
        encoders = (machine,)
    config = EvalConfig(encoders, checkpoints, machine, _model_config(arguments), arguments.nodes)
    graph = read_graph(arguments.graph, arguments.split_seed)
    rows = list(evaluate(graph, config))
    _print_json({"graph": graph.name, "nodes": config.nodes, "rows": [row.as_values() for row in rows]})
    sys.stdout.write(table(rows))


def _compared(given: str, machine: EncoderConfig) -> EncoderConfig:
    """The encoder of 'NAME' or 'NAME=FOLDER', loaded as the other flags say."""
    name, _, folder = given.partition("=")
    if name not in TEXT_ENCODERS:
        raise OptionError(
            f"--compare {given}: there is no text encoder {name!r}; there are {', '.join(TEXT_ENCODERS)}"
        )
    path = Path(folder) if folder else None
    return replace(machine, text_encoder=name, model_name=None, model_path=path, revision=None)


def _model_config(arguments: argparse.Namespace) -> ModelConfig:
    return ModelConfig(arguments.num_rounds, not arguments.no_prompt, arguments.scale)


def _print_json(values: dict[str, Any]) -> None:
    print_line(json.dumps(values, ensure_ascii=False))


def print_line(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m kblampp.zerog.cli", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    world = commands.add_parser("build-world", help="graphs from the world KG", allow_abbrev=False)
    world.add_argument("--world", type=Path, default=Path("data_kg/world"), help="folder of the export")
    world.add_argument("--out", type=Path, required=True, help="folder for one .json a graph")
    world.add_argument("--graphs", nargs="+", choices=tuple(GRAPHS), help="some of them; default: all")
    world.add_argument("--max-nodes", type=int, help="keep a random part of this size; default: all")
    world.add_argument("--seed", type=int, default=0, help="of that part and of the splits")
    training = commands.add_parser("train", help="tune a text encoder on graphs", allow_abbrev=False)
    training.add_argument("--graph", type=Path, action="append", required=True, help="may be repeated")
    training.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    _add_train_flags(training)
    evaluation = commands.add_parser("eval", help="classify nodes, and compare", allow_abbrev=False)
    evaluation.add_argument("--graph", type=Path, required=True, help="a graph, best one not trained on")
    evaluation.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        help="folder that train wrote; may be repeated",
    )
    evaluation.add_argument(
        "--compare", action="append", default=[], metavar="NAME[=FOLDER]", help="untrained; may be repeated"
    )
    evaluation.add_argument("--nodes", choices=NODES, default="all", help="which are scored (default all)")
    for command in (training, evaluation):
        command.add_argument("--num-rounds", type=int, default=ModelConfig.num_rounds, help="of aggregation")
        command.add_argument("--no-prompt", action="store_true", help="leave the prompt node out")
        command.add_argument(
            "--scale", type=float, default=ModelConfig.scale, help="of the scores, in training"
        )
        command.add_argument("--split-seed", type=int, default=0, help="where a graph brings no split masks")
        add_encoder_flags(command)
    return parser


def _add_train_flags(parser: argparse.ArgumentParser) -> None:
    defaults = TrainConfig()
    parser.add_argument("--training", choices=("lora", "full"), default=defaults.training)
    parser.add_argument("--num-epochs", type=int, default=defaults.num_epochs)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--nodes-per-batch", type=int, default=defaults.nodes_per_batch)
    parser.add_argument("--num-hops", type=int, default=defaults.num_hops)
    parser.add_argument("--max-nodes", type=int, default=defaults.max_nodes, help="nodes of a step")
    parser.add_argument("--seed", type=int, default=defaults.seed)


if __name__ == "__main__":
    sys.exit(main())
