"""`kg-r1 explore`: a page to look at the episodes of validation logs with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kg_r1.eval.html_report import MAX_PAGE_BYTES, ReportError, write_episode_explorer


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="kg-r1 explore", description="Make one HTML file to look at the episodes of logs with."
    )
    parser.add_argument(
        "logs",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a log, one episode a line",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="PAGE", help="the HTML file to write")
    parser.add_argument(
        "--max_bytes",
        type=int,
        default=MAX_PAGE_BYTES,
        help="of the episodes in the page; the first of each step are kept (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page and print its path.

    Returns:
        The exit code: 2 for a mistake at the command line or in a file, told in one line on stderr.
    """
    options = build_parser().parse_args(argv)
    try:
        path = write_episode_explorer(options.logs, options.out, options.max_bytes)
    except ReportError as error:
        sys.stderr.write(f"kg-r1 explore: {error}\n")
        return 2
    sys.stdout.write(f"{path}\n")
    return 0
