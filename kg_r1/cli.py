"""The command line `kg-r1`: one subcommand per job, each loading only what it needs."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

# Subcommands that hand their arguments on unread to the main function of a module.
_FORWARDED = {
    "serve": ("kg_r1.search.kg_retrieval_server", "answer searches over HTTP"),
    "mcp": ("kg_r1.search.mcp_server", "offer the searches to a model's host as MCP tools"),
    "build": ("kg_r1.data.build", "make a KG with its questions"),
    "export": ("kg_r1.data.export", "write a KG as two tables, triples and names"),
    "eval": ("kg_r1.eval.command", "play a model and baselines over questions, and score them"),
    "explore": ("kg_r1.eval.explore", "make a page to look at episodes with"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Returns the exit code: 2 for a user's mistake, told in one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _FORWARDED:
        module_name, _ = _FORWARDED[arguments[0]]
        return int(importlib.import_module(module_name).main(arguments[1:]) or 0)
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    from kg_r1.cli_episode import UserMistake, play

    try:
        play(options)
    except UserMistake as mistake:
        sys.stderr.write(f"kg-r1 episode: {mistake}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kg-r1", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, help_line) in _FORWARDED.items():
        commands.add_parser(name, help=help_line, add_help=False)
    episode = commands.add_parser(
        "episode",
        help="play one question and print it with its tags",
        description="Play one question against the KG and print the episode with its tags. Without --model "
        "and --script the turns are typed in: each ends with its closing tag.",
    )
    episode.add_argument("--questions", required=True, metavar="FILE", help="a parquet file of questions")
    episode.add_argument("--index", type=int, default=0, help="which of its questions, from 0 (default 0)")
    graph = episode.add_mutually_exclusive_group(required=True)
    graph.add_argument("--base_data_path", metavar="DIR", help="search the KGs under this folder, in process")
    graph.add_argument("--search_url", metavar="URL", help="search through a running retrieval server")
    episode.add_argument("--api_key_file", metavar="FILE", help="the key of a server that asks for one")
    policy = episode.add_mutually_exclusive_group()
    policy.add_argument("--model", metavar="PATH", help="a Hugging Face model folder or hub name plays")
    policy.add_argument("--script", metavar="FILE", help="the turns of a text file are played, in its order")
    episode.add_argument(
        "--temperature", type=float, default=0.0, help="of the model; 0, the default, is greedy"
    )
    episode.add_argument("--seed", type=int, default=0, help="of the model's sampling (default 0)")
    episode.add_argument("--max_turns", type=int, default=10, help="turns, the answer included (default 10)")
    episode.add_argument("--no_think", action="store_true", help="play without thinking")
    episode.add_argument(
        "--json", action="store_true", help="print the whole record as one JSON line instead"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
