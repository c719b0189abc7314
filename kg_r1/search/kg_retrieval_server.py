"""Starts the KG retrieval server: python kg_r1/search/kg_retrieval_server.py --base_data_path data_kg

Runs as a script of a checkout that is not installed, and as `python -m kg_r1.search.kg_retrieval_server`.
"""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger("kg_r1.search.kg_retrieval_server")

EXIT_USAGE = 2
SHUTDOWN_S = 5
BACKLOG = 2048


class UsageError(Exception):
    """Something the person at the command line can mend; its text is one line that says how."""


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="kg_retrieval_server", description="Serves knowledge graphs over HTTP."
    )
    parser.add_argument(
        "--base_data_path", type=Path, required=True, help="folder with one folder per data set"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen at; 0 picks one (default: 8000)"
    )
    parser.add_argument(
        "--max_cache_size", type=int, default=1000, help="most graphs kept in memory (default: %(default)s)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server until it is told to stop.

    Returns:
        The exit code: 0 after Ctrl-C, 2 for a mistake at the command line.
    """
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(args.base_data_path, args.host, args.port, args.max_cache_size)
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        logger.info("stopped")
    return 0


def serve(base_data_path: Path, host: str, port: int, max_cache_size: int) -> None:
    """Serves the graphs under a folder at an address, until a signal.

    Raises:
        UsageError: a package is missing, there is no such folder or no data set in it, a limit is bad, or
            the address cannot be listened at.
        KeyboardInterrupt: stopped by Ctrl-C, after the requests under way were answered.
    """
    try:
        import uvicorn

        from kg_r1.kg.store import GraphStore
        from kg_r1.search.actions import ACTION_REGISTRY
        from kg_r1.search.errors import KGError, listed
        from kg_r1.search.server import KnowledgeGraphRetriever, create_app
    except ModuleNotFoundError as error:
        raise UsageError(f"{error}; install the project (README.md) and use its .venv/bin/python") from error

    try:
        store = GraphStore(base_data_path, max_cache_size)
        datasets = store.datasets()
    except (KGError, ValueError) as error:
        raise UsageError(str(error)) from error
    if not datasets:
        raise UsageError(
            f"no data set found under {base_data_path}; put one folder per data set there (docs/server.md), "
            "or build one with: python -m kg_r1.data.build world --out data_kg"
        )
    ACTION_REGISTRY.load_entry_points()
    app = create_app(KnowledgeGraphRetriever(store, ACTION_REGISTRY))
    listener = open_listener(host, port)
    with listener:
        address = f"http://{_in_url(host)}:{listener.getsockname()[1]}"
        logger.info("data sets: %s; actions: %s", listed(datasets), listed(ACTION_REGISTRY))
        logger.info("listening at %s (Ctrl-C stops)", address)
        config = uvicorn.Config(
            app, access_log=False, log_config=None, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_S
        )
        uvicorn.Server(config).run(sockets=[listener])


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that listens at the address, opened here so that a port in use is told in one line.

    Raises:
        UsageError: the address cannot be listened at.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port} is not a port; give 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host} is not an address of this machine ({error})") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen at {host} port {port} ({error.strerror}); "
            "stop what listens there, or give another --port"
        ) from error
    return listener


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    if not __package__:
        # As a script, Python looks for modules beside this file, where `kg_r1` is not.
        sys.path[0] = str(Path(__file__).resolve().parents[2])
    sys.exit(main())
