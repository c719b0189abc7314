"""`kg-r1 mcp`: the search actions as tools of the Model Context Protocol, over stdio or streamable HTTP.

In: a folder of data sets or the address of a running KG server. Out: the protocol, on stdout or at /mcp; the
log goes to stderr alone. A mistake at the command line is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kg_r1.search.kg_retrieval_server import EXIT_USAGE, UsageError
from kg_r1.search.mcp_http import serve_http

if TYPE_CHECKING:
    from mcp.server import Server

    from kg_r1.search.mcp_tools import GraphTools

logger = logging.getLogger("kg_r1.search.mcp_server")

INSTALL = "pip install mcp==2.3.0"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8002
LOOKUP_TIMEOUT_S = 10.0


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see: kg-r1 mcp --help")


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = _Parser(
        prog="kg-r1 mcp", description="Serves the search actions as MCP tools.", allow_abbrev=False
    )
    graphs = parser.add_mutually_exclusive_group(required=True)
    graphs.add_argument(
        "--base_data_path", type=Path, metavar="DIR", help="search the data sets of this folder"
    )
    graphs.add_argument(
        "--search_url", metavar="URL", help="search through a running KG server (its /retrieve)"
    )
    parser.add_argument("--datasets", metavar="A,B", help="serve these data sets (default: all)")
    parser.add_argument(
        "--actions", metavar="A,B", help="serve these actions, optional ones too (default: all but those)"
    )
    parser.add_argument(
        "--max_cache_size", type=int, default=1000, help="most graphs kept in memory (default: %(default)s)"
    )
    parser.add_argument(
        "--transport", choices=("stdio", "http"), default="stdio", help="default: %(default)s"
    )
    parser.add_argument("--host", help=f"address to listen at, for http (default: {DEFAULT_HOST})")
    parser.add_argument("--port", type=int, help=f"port, for http; 0 picks one (default: {DEFAULT_PORT})")
    parser.add_argument(
        "--api_key_file", type=Path, metavar="FILE", help="for http: clients must send the key in this file"
    )
    parser.add_argument(
        "--search_key_file",
        type=Path,
        metavar="FILE",
        help="the key that the server at --search_url wants",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="for http: listen beyond this machine without a key"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until the client leaves (stdio) or a signal comes.

    Returns:
        The exit code: 0 at the end of the input or after Ctrl-C, 2 for a mistake at the command line.
    """
    try:
        options = build_parser().parse_args(argv)
        logging.basicConfig(
            level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        # The SDK and the HTTP client log every message; here that is noise.
        for name in ("mcp", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
        serve(options)
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        logger.info("stopped")
    return 0


def serve(options: argparse.Namespace) -> None:
    """Serves the tools as the options say.

    Raises:
        UsageError: a package is missing, an option does not fit, or there is nothing to serve.
        KeyboardInterrupt: stopped by Ctrl-C.
    """
    if options.transport == "stdio":
        given = [name for name in ("host", "port", "api_key_file") if getattr(options, name) is not None]
        if given or options.insecure:
            raise UsageError(f"--{(given or ['insecure'])[0]} goes with --transport http")
    try:
        from kg_r1.search.errors import KGError, listed
        from kg_r1.search.mcp_tools import build_server
    except ModuleNotFoundError as error:
        raise UsageError(f"{error}; install the project (README.md), and then: {INSTALL}") from error
    try:
        tools = remote_tools(options) if options.search_url is not None else local_tools(options)
    except (KGError, ValueError) as error:
        raise UsageError(str(error)) from error
    logger.info("data sets: %s; tools: %s", listed(tools.datasets), listed(one.name for one in tools.specs()))
    if options.transport == "stdio":
        serve_stdio(build_server(tools))
    else:
        host = DEFAULT_HOST if options.host is None else options.host
        port = DEFAULT_PORT if options.port is None else options.port
        serve_http(build_server(tools), host, port, options.api_key_file, options.insecure)


def local_tools(options: argparse.Namespace) -> GraphTools:
    """Tools that search in this process.

    Raises:
        KGError, ValueError: no such folder, data set or action, a limit that is bad, data that is broken.
    """
    from kg_r1.kg.store import GraphStore
    from kg_r1.search.actions import ACTION_REGISTRY
    from kg_r1.search.client import InProcessKGClient
    from kg_r1.search.mcp_tools import GraphTools
    from kg_r1.search.optional_actions import enable
    from kg_r1.search.retriever import KnowledgeGraphRetriever

    store = GraphStore(options.base_data_path, options.max_cache_size)
    names = names_of(options.datasets, "--datasets") or store.datasets()
    if not names:
        raise UsageError(
            f"no data set found under {options.base_data_path}; put one folder per data set there "
            "(docs/server.md), or build one with: kg-r1 build world --out data_kg"
        )
    ACTION_REGISTRY.load_entry_points()
    actions = names_of(options.actions, "--actions")
    enable(ACTION_REGISTRY, actions or ())
    client = InProcessKGClient(KnowledgeGraphRetriever(store, ACTION_REGISTRY))
    return GraphTools(client, ACTION_REGISTRY, {name: not store.is_shared(name) for name in names}, actions)


def remote_tools(options: argparse.Namespace) -> GraphTools:
    """Tools that search through a running KG server: the actions that it and this process both have.

    Raises:
        UsageError: the server has no data set.
        KGError, ValueError: no server answers at the address, or it lacks a data set or an action named.
    """
    import asyncio

    from kg_r1.search.access import read_key
    from kg_r1.search.actions import ACTION_REGISTRY
    from kg_r1.search.client import HttpKGClient
    from kg_r1.search.errors import UnknownAction, listed, quoted
    from kg_r1.search.mcp_tools import GraphTools
    from kg_r1.search.offers import lacking_of, offer_of
    from kg_r1.search.optional_actions import OPTIONAL_ACTIONS, enable

    key = read_key(options.search_key_file, None)
    offer = offer_of(options.search_url, key, LOOKUP_TIMEOUT_S)
    names = names_of(options.datasets, "--datasets") or offer.datasets
    if not names:
        raise UsageError(f"the KG server at {options.search_url} has no data set")
    theirs = offer.actions
    ACTION_REGISTRY.load_entry_points()
    actions = names_of(options.actions, "--actions")
    enable(
        ACTION_REGISTRY, [name for name in theirs if name in OPTIONAL_ACTIONS] if actions is None else actions
    )
    if actions is None:
        actions = [name for name in ACTION_REGISTRY if name in theirs]
    if lacking := lacking_of(actions, theirs):
        raise UnknownAction(
            f"the KG server has no action {listed(map(quoted, lacking))}", f"Its actions: {listed(theirs)}"
        )
    left_out = [name for name in theirs if name not in ACTION_REGISTRY]
    if left_out:
        logger.warning("actions of the server left out, since no package here has them: %s", listed(left_out))
    client = HttpKGClient(options.search_url, api_key=key)
    return GraphTools(client, ACTION_REGISTRY, asyncio.run(sampled_datasets(client, names)), actions)


async def sampled_datasets(client: Any, names: Sequence[str]) -> dict[str, bool]:
    """Whether a search in each data set must name a sample, as a KG server shows it by its errors.

    Raises:
        KGError: the server has no such data set, or does not answer.
    """
    from kg_r1.search.actions import ActionType
    from kg_r1.search.errors import KGError, UnknownEntity, UnknownSample

    # No entity is called "": where the graph is shared, that is what is wrong; elsewhere the sample is.
    probes = [
        {
            "action_type": ActionType.GET_RELATIONS.value,
            "dataset_name": name,
            "sample_id": "",
            "entity_id": "",
        }
        for name in names
    ]
    try:
        answers = await client.retrieve_batch(probes)
    finally:
        await client.aclose()
    for answer in answers:
        if answer.error is not None and answer.error.code not in (UnknownEntity.code, UnknownSample.code):
            raise KGError(answer.error.message)
    return {
        name: answer.error is not None and answer.error.code == UnknownSample.code
        for name, answer in zip(names, answers, strict=True)
    }


def names_of(given: str | None, option: str) -> list[str] | None:
    """The names of a comma-separated option, each once; None where it is not given.

    Raises:
        UsageError: one of the names is empty.
    """
    if given is None:
        return None
    names = [name.strip() for name in given.split(",")]
    if not all(names):
        raise UsageError(f"{option} {given!r} has an empty name; write names with commas between them")
    return list(dict.fromkeys(names))


def serve_stdio(server: Server[Any]) -> None:
    """Speaks the protocol on stdin and stdout until stdin ends."""
    import anyio
    from mcp.server.stdio import stdio_server

    async def run() -> None:
        async with stdio_server() as (read_stream, write_stream):
            await server.run(read_stream, write_stream, server.create_initialization_options())

    if sys.stdin.isatty():
        logger.info("stdin is a terminal; an MCP client starts this command itself (docs/mcp.md)")
    try:
        anyio.run(run)
    except* BrokenPipeError:
        logger.info("the client went away before it had read an answer")


if __name__ == "__main__":
    sys.exit(main())
