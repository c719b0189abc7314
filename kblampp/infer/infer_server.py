"""Answers over HTTP: loads a model once and serves until it is told to stop.

    python -m kblampp.infer.infer_server --config configs/synth_world.yaml \
        --backbone configs/backbone_smollm.yaml --checkpoint runs/kblampp/synth_world/final

It listens at this machine alone unless --host says otherwise: there is no authentication.
"""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from kblampp.answering import load_answerer
from kblampp.command import require_positive, run
from kblampp.config import Config, add_config_flags, config_from_flags
from kblampp.errors import ConfigError
from kblampp.infer.app import Limits, create_app, stores_in
from kblampp.infer.service import InjectionService

logger = logging.getLogger("kblampp.infer.infer_server")
SHUTDOWN_S = 5
BACKLOG = 2048


def serve(
    config: Config,
    checkpoint: Path | None,
    listener: socket.socket,
    *,
    limits: Limits,
    max_batch: int,
    store_root: Path | None,
) -> None:
    """Loads everything, then answers at a socket until a signal. Raises as `load_answerer` does."""
    service = InjectionService(
        load_answerer(config, checkpoint), Path(config.store.path).name, max_batch=max_batch
    )
    app = create_app(service, limits, store_root)
    host, port = listener.getsockname()[:2]
    logger.info("listening at http://%s:%d (Ctrl-C stops)", f"[{host}]" if ":" in host else host, port)
    settings = uvicorn.Config(
        app, access_log=False, log_config=None, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_S
    )
    try:
        uvicorn.Server(settings).run(sockets=[listener])
    finally:
        service.close()


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that listens at the address, opened before the model is loaded. Raises ConfigError."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port} is not a port; give 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--host {host} is not an address of this machine ({error})") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen at {host} port {port} ({error.strerror}); stop what listens there, or give "
            "another --port"
        ) from error
    return listener


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kblampp.infer.infer_server", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="folder of trained modules; none: untrained")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8010, help="0 picks one (default: %(default)s)")
    parser.add_argument("--max-batch", type=int, default=32, help="questions answered at once")
    parser.add_argument("--max-questions", type=int, default=256, help="questions of a request")
    parser.add_argument("--max-question-chars", type=int, default=2000)
    parser.add_argument("--max-body-bytes", type=int, default=1_000_000)
    parser.add_argument(
        "--store-root", type=Path, help="folder with a folder for each store; allows POST /admin/swap"
    )
    add_config_flags(parser)
    return parser


def _serve(arguments: argparse.Namespace) -> None:
    require_positive(arguments, "max_batch", "max_questions", "max_question_chars", "max_body_bytes")
    if arguments.store_root is not None:
        logger.info("stores: %s", ", ".join(sorted(stores_in(arguments.store_root))) or "none")
    limits = Limits(arguments.max_body_bytes, arguments.max_questions, arguments.max_question_chars)
    config = config_from_flags(arguments)
    with open_listener(arguments.host, arguments.port) as listener:
        try:
            serve(
                config,
                arguments.checkpoint,
                listener,
                limits=limits,
                max_batch=arguments.max_batch,
                store_root=arguments.store_root,
            )
        except KeyboardInterrupt:
            logger.info("stopped")


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until a signal. Exit code 0 after Ctrl-C, 2 for a user's mistake."""
    return run(_parser(), _serve, argv)


if __name__ == "__main__":
    sys.exit(main())
