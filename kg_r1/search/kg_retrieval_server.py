"""Starts the KG retrieval server: python kg_r1/search/kg_retrieval_server.py --base_data_path data_kg

Runs as a script of a checkout that is not installed, and as `python -m kg_r1.search.kg_retrieval_server`.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from kg_r1.search.serving import Service

logger = logging.getLogger("kg_r1.search.kg_retrieval_server")

EXIT_USAGE = 2
SHUTDOWN_S = 5
"""Seconds that requests under way are given once the server is told to stop."""

BACKLOG = 2048


class UsageError(Exception):
    """Something the person at the command line can mend; its text is one line that says how."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"error: {message}; --help lists the options\n")


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    from kg_r1.search.limits import add_limit_options

    parser = _Parser(prog="kg_retrieval_server", description="Serves knowledge graphs over HTTP.")
    parser.add_argument(
        "--base_data_path", type=Path, required=True, help="folder with one folder per data set"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen at; 0 picks one (default: 8000)"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that answer requests (default: %(default)s)"
    )
    parser.add_argument(
        "--max_cache_size", type=int, default=1000, help="most graphs in memory, per worker (default: 1000)"
    )
    parser.add_argument(
        "--cache_path", type=Path, help="where raw data sets are compiled to (default: .compiled beside them)"
    )
    parser.add_argument(
        "--actions", default="", metavar="NAME,NAME", help="optional actions to offer as well"
    )
    parser.add_argument(
        "--api_key_file", type=Path, help="file with the key that requests must carry (or KG_SERVER_API_KEY)"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="let other machines reach the server without a key"
    )
    parser.add_argument(
        "--access_log", action="store_true", help="write a line of JSON per HTTP request to stderr"
    )
    add_limit_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server until it is told to stop.

    Returns:
        The exit code: 0 after Ctrl-C, 2 for a mistake at the command line.
    """
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        from kg_r1.search.access import KEY_VARIABLE

        serve(args, os.environ.get(KEY_VARIABLE))
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        logger.info("stopped")
    return 0


def serve(args: argparse.Namespace, key_variable: str | None) -> None:
    """Serves the graphs under a folder at an address, until a signal.

    Args:
        args: the options, as `build_parser` reads them.
        key_variable: the value of the variable KG_SERVER_API_KEY; None when it is not set.

    Raises:
        UsageError: a package is missing, there is no such folder or no data set in it, a limit or the key is
            bad, the address cannot be listened at, or nothing guards it from other machines.
        KeyboardInterrupt: stopped by Ctrl-C, after the requests under way were answered.
    """
    try:
        from kg_r1.kg.prepare import prepare_in_own_process
        from kg_r1.kg.store import GraphStore
        from kg_r1.search.access import AccessError, check_exposure, read_key
        from kg_r1.search.actions import ACTION_REGISTRY
        from kg_r1.search.errors import KGError, listed
        from kg_r1.search.limits import limits_of
        from kg_r1.search.optional_actions import enable_listed
        from kg_r1.search.retriever import KnowledgeGraphRetriever
        from kg_r1.search.serving import Service, warn_of_slow_parts
    except ModuleNotFoundError as error:
        raise UsageError(f"{error}; install the project (README.md) and use its .venv/bin/python") from error

    if args.workers < 1:
        raise UsageError(f"--workers is {args.workers}; it must be at least 1")
    try:
        limits = limits_of(args)
        key = read_key(args.api_key_file, key_variable)
        store = GraphStore(args.base_data_path, args.max_cache_size, args.cache_path)
        datasets = store.datasets()
        ACTION_REGISTRY.load_entry_points()
        enable_listed(ACTION_REGISTRY, args.actions)
    except (KGError, ValueError) as error:
        raise UsageError(str(error)) from error
    if not datasets:
        raise UsageError(
            f"no data set found under {args.base_data_path}; put one folder per data set there "
            "(docs/server.md), or build one with: python -m kg_r1.data.build world --out data_kg"
        )
    with open_listener(args.host, args.port) as listener:
        try:
            check_exposure(listener.getsockname()[0], key, args.insecure)
        except AccessError as error:
            raise UsageError(str(error)) from error
        warn_of_slow_parts()
        prepare_in_own_process(store)
        logger.info("data sets: %s; actions: %s", listed(datasets), listed(ACTION_REGISTRY))
        retriever = KnowledgeGraphRetriever(store, ACTION_REGISTRY)
        service = Service(retriever, limits, key, args.access_log, SHUTDOWN_S)
        run(service, listener, args.host, args.workers)


def run(service: Service, listener: socket.socket, host: str, num_workers: int) -> None:
    """Serves from one process, or from several that a parent looks after, until a signal.

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C.
    """
    from kg_r1.search.shared import SharedState
    from kg_r1.search.workers import WorkerPool

    address = f"http://{_in_url(host)}:{listener.getsockname()[1]}"
    shared = SharedState(num_workers)
    if num_workers == 1:
        logger.info("listening at %s (Ctrl-C stops)", address)
        service.run(listener, shared)
        return
    listeners = dealt_out(listener, num_workers)
    pool = WorkerPool(
        lambda worker: service.run(listeners[worker], shared, worker), listeners, SHUTDOWN_S + 2
    )
    pool.start()
    logger.info("listening at %s with %d workers (Ctrl-C stops)", address, num_workers)
    stopped_by = pool.run()
    # As uvicorn does for one process: who started the server sees which signal ended it.
    signal.signal(stopped_by, signal.default_int_handler if stopped_by == signal.SIGINT else signal.SIG_DFL)
    signal.raise_signal(stopped_by)


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that listens at the address, opened here so that a port in use is told in one line.

    Raises:
        UsageError: the address cannot be listened at.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port} is not a port; give 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host} is not an address of this machine ({error})") from error
    return _listening(family, address)


def dealt_out(listener: socket.socket, num_workers: int) -> list[socket.socket]:
    """A socket per worker at the listener's address, among which the kernel deals out new connections.

    Workers that accept from one socket would not share: the first to look takes a whole burst of connections,
    and keeps them as long as their clients do. The listener is closed; it has shown that nobody else listens
    at the address, which sockets that share one do not show.

    Raises:
        UsageError: the address was taken in the meantime.
    """
    family, address = listener.family, listener.getsockname()
    listener.close()
    return [_listening(family, address, shares_address=True) for _ in range(num_workers)]


def _listening(family: int, address: Any, *, shares_address: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_address:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted sockets inherit it: a small reply must not wait for the receipt of the one before.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen at {address[0]} port {address[1]} ({error.strerror}); "
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
