"""Replicas of the KG server under Ray Serve: the application of `create_app`, once per replica.

In: a folder of data sets that every node has at the same path. Out: an HTTP server that hands each request to
one of the replicas, started by `python -m kg_r1.search.ray_serve` or by `serve run` with a configuration such
as configs/serving/ray_serve.yaml. Ray is imported when something is started, never before.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kg_r1.kg.errors import one_line
from kg_r1.search.kg_retrieval_server import EXIT_USAGE, UsageError, open_listener

if TYPE_CHECKING:
    from ray.serve import Application
    from starlette.applications import Starlette

logger = logging.getLogger("kg_r1.search.ray_serve")

INSTALL = "pip install 'ray[serve]==2.60.0'"
APPLICATION, DEPLOYMENT = "kg_retrieval", "KnowledgeGraphServer"
# Searches put nothing into Ray's object store, which would else take a third of the memory.
OBJECT_STORE_BYTES = 100_000_000
CONNECT_TIMEOUT_S = 5.0


class ReplicaOptions(BaseModel):
    """What a replica serves, and how many there are.

    Attributes:
        base_data_path: folder with one folder per data set, absolute, the same on every node.
        num_replicas: processes that answer, each with graphs of its own.
        max_cache_size: most graphs that a replica keeps in memory.
        max_ongoing_requests: most requests that a replica works on at once; others wait in the proxy.
        num_cpus: cores that Ray sets aside for a replica.
        api_key_file: a file, the same on every node, with the key that requests must carry.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_data_path: Path
    num_replicas: int = Field(default=2, ge=1)
    max_cache_size: int = Field(default=1000, ge=1)
    max_ongoing_requests: int = Field(default=64, ge=1)
    num_cpus: float = Field(default=1.0, ge=0)
    api_key_file: Path | None = None


def build_app(args: Mapping[str, Any]) -> Application:
    """The Serve application; `serve run kg_r1.search.ray_serve:build_app base_data_path=/data/kg` calls it.

    Args:
        args: the fields of `ReplicaOptions`, as numbers or as text.

    Raises:
        UsageError: an argument is missing, unknown or out of range; the data path is not absolute; or
            Ray Serve is not installed.
    """
    try:
        options = ReplicaOptions.model_validate(dict(args))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"argument {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if not options.base_data_path.is_absolute():
        raise UsageError(
            f"base_data_path must be absolute, since replicas run elsewhere: {options.base_data_path}"
        )
    serve = _serve()

    def replica() -> Starlette:
        return replica_app(options)

    # Only the options travel to a replica; it reads graphs and key where it runs.
    deployed = serve.deployment(
        serve.ingress(replica)(),
        name=DEPLOYMENT,
        num_replicas=options.num_replicas,
        max_ongoing_requests=options.max_ongoing_requests,
        ray_actor_options={"num_cpus": options.num_cpus},
    )
    application: Application = deployed.bind()
    return application


def replica_app(options: ReplicaOptions) -> Starlette:
    """What one replica runs.

    Raises:
        KGError: there is no such folder on its node.
        AccessError: the key's file cannot be used.
    """
    from kg_r1.kg.store import GraphStore
    from kg_r1.search.access import KEY_VARIABLE, read_key
    from kg_r1.search.actions import ACTION_REGISTRY
    from kg_r1.search.server import KnowledgeGraphRetriever, create_app

    ACTION_REGISTRY.load_entry_points()
    store = GraphStore(options.base_data_path, options.max_cache_size)
    key = read_key(options.api_key_file, os.environ.get(KEY_VARIABLE))
    return create_app(KnowledgeGraphRetriever(store, ACTION_REGISTRY), key=key)


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    defaults = {name: field.default for name, field in ReplicaOptions.model_fields.items()}
    parser = argparse.ArgumentParser(
        prog="python -m kg_r1.search.ray_serve", description="Serves knowledge graphs from several replicas."
    )
    parser.add_argument(
        "--base_data_path", type=Path, required=True, help="folder with one folder per data set"
    )
    parser.add_argument(
        "--num_replicas", type=int, default=defaults["num_replicas"], help="default: %(default)s"
    )
    parser.add_argument(
        "--max_cache_size",
        type=int,
        default=defaults["max_cache_size"],
        help="most graphs that a replica keeps in memory (default: %(default)s)",
    )
    parser.add_argument(
        "--max_ongoing_requests",
        type=int,
        default=defaults["max_ongoing_requests"],
        help="most requests that a replica works on at once (default: %(default)s)",
    )
    parser.add_argument(
        "--num_cpus",
        type=float,
        default=defaults["num_cpus"],
        help="cores that Ray sets aside for a replica (default: %(default)s)",
    )
    parser.add_argument(
        "--api_key_file", type=Path, metavar="FILE", help="requests must carry the key in this file"
    )
    parser.add_argument("--insecure", action="store_true", help="listen beyond this machine without a key")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 picks one (default: %(default)s)")
    parser.add_argument(
        "--ray_address",
        default="local",
        help="a running Ray cluster, such as auto; default: local, which starts one for this server alone",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the replicas until Ctrl-C or SIGTERM.

    Returns:
        The exit code: 0 after a signal, 2 for a mistake at the command line.
    """
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        run(args)
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    logger.info("stopped")
    return 0


def run(args: argparse.Namespace) -> None:
    """Starts Ray if needed, the replicas and the HTTP proxy; returns after a signal, when all are stopped.

    Raises:
        UsageError: a package or the data is missing, a number is out of range, the address cannot be
            listened at or needs a key, no Ray cluster answers, or no replica comes up.
    """
    check_data(args.base_data_path, args.max_cache_size)
    port = free_address(args.host, args.port, args.api_key_file, args.insecure)
    fields = {name: getattr(args, name) for name in ReplicaOptions.model_fields}
    for name in ("base_data_path", "api_key_file"):
        fields[name] = None if fields[name] is None else fields[name].resolve()
    application = build_app(fields)
    serve = _serve()
    _start_ray(args.ray_address, args.num_replicas * args.num_cpus)
    stopped = threading.Event()
    # After Ray's start: it sets a handler of its own, which would end this process before the replicas.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        serve.start(http_options={"host": args.host, "port": port})
        serve.run(application, name=APPLICATION, route_prefix="/")
        logger.info(
            "listening at http://%s:%d with %d replicas (Ctrl-C stops)", args.host, port, args.num_replicas
        )
        stopped.wait()
    except RuntimeError as error:  # what Serve raises when no replica comes up
        raise UsageError(one_line(f"Ray Serve could not start the replicas ({error})")) from error
    finally:
        # In a cluster that others use as well, only this application ends.
        if args.ray_address == "local":
            serve.shutdown()
        else:
            serve.delete(APPLICATION)


def check_data(base_data_path: Path, max_cache_size: int) -> None:
    """Raises UsageError where there is nothing to serve under the path."""
    from kg_r1.kg.store import GraphStore
    from kg_r1.search.errors import KGError

    try:
        datasets = GraphStore(base_data_path, max_cache_size).datasets()
    except (KGError, ValueError) as error:
        raise UsageError(str(error)) from error
    if not datasets:
        raise UsageError(f"no data set found under {base_data_path}; put one folder per data set there")


def free_address(host: str, port: int, api_key_file: Path | None, is_insecure: bool) -> int:
    """The port to listen at, once it is known that the address can be had and is guarded as it must be.

    Raises:
        UsageError: it cannot, or others can reach it and there is no key.
    """
    from kg_r1.search.access import KEY_VARIABLE, AccessError, check_exposure, read_key

    listener: socket.socket = open_listener(host, port)
    with listener:
        address, bound_port = listener.getsockname()[:2]
        try:
            check_exposure(address, read_key(api_key_file, os.environ.get(KEY_VARIABLE)), is_insecure)
        except AccessError as error:
            raise UsageError(str(error)) from error
    return int(bound_port)


def _serve() -> Any:
    try:
        from ray import serve
    except ModuleNotFoundError as error:
        missing = f"No module named {error.name!r}" if error.name else str(error)
        raise UsageError(f"{missing}; Ray Serve is not installed whole, run: {INSTALL}") from error
    return serve


def _start_ray(address: str, num_cpus: float) -> None:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdigit():  # Ray itself tries for minutes where nothing answers
            socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
        if address == "local":
            ray.init(
                address="local",
                num_cpus=max(1, round(num_cpus + 0.5)),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
            )
        else:
            ray.init(address=address, log_to_driver=False)
    except (OSError, OverflowError, ValueError) as error:
        raise UsageError(f"no Ray cluster at --ray_address {address} ({error})") from error


if __name__ == "__main__":
    sys.exit(main())
