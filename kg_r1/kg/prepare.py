"""Compiles the raw data sets of a data path that are not compiled yet: ``python -m kg_r1.kg.prepare DIR``.

A process of its own, so that a server need not carry the memory that sorting took for the rest of its life.
A data set that cannot be read is logged and left out: it fails alone, when it is asked for.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kg_r1.kg.errors import KGError, listed
from kg_r1.kg.store import GraphStore

logger = logging.getLogger("kg_r1.kg.prepare")

ROOT = Path(__file__).resolve().parents[2]


def prepare_in_own_process(store: GraphStore) -> None:
    """Compiles what the store has raw, in a process that ends with it; nothing where nothing is to do.

    Where no files can be written, everything is left to the processes that will serve.
    """
    names = store.uncompiled()
    if not names:
        return
    logger.info("compiling %s (once; docs/stores.md)", listed(names))
    command = [sys.executable, "-m", "kg_r1.kg.prepare", str(store.base_data_path)]
    # The checkout may not be installed: the server runs as a script too.
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    finished = subprocess.run(
        [*command, "--cache_path", str(store.cache_path)], env={**os.environ, "PYTHONPATH": paths}
    )
    if finished.returncode:
        status = finished.returncode
        logger.warning("compiling ended with status %d; the rest is compiled on first use", status)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kg_r1.kg.prepare", description=__doc__)
    parser.add_argument("base_data_path", type=Path, help="the folder of the data sets")
    parser.add_argument("--cache_path", type=Path, help="where compiled stores lie")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        store = GraphStore(options.base_data_path, cache_path=options.cache_path)
        for name in store.uncompiled():
            try:
                store.prepare(name)
            except KGError as error:
                logger.error("%s", error)
    except KGError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
