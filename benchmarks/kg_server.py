"""How fast, how small and how quick to start the KG retrieval server is, beside a public peer.

    python benchmarks/kg_server.py --out runs/kg_server.json
    python benchmarks/kg_server.py --quick
    python benchmarks/kg_server.py --base_data_path data_kg --dataset world -- --max_cache_size 4000

Generates graphs (or takes those of a data path), draws queries, starts the server as it is started in
use, and puts load on it from a process of its own. Every round measures each server with each load in
turn, so that a machine that grows slower does so for all; figures are medians over the rounds, ratios
are taken within a round. What stands after `--` is handed to the server. Tables go to stdout, progress
to stderr. Method and figures: docs/server_speed.md.

Exit status: 0; 1 when an answer was wrong or missing; 2 for a mistake at the command line or a server
that does not start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if not __package__:
    # As a script, Python looks for modules beside this file, where `benchmarks` is not.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import kg_server_measure as measure
from benchmarks import kg_server_table as table
from benchmarks.kg_server_data import DATASET, DataShape, ensure_data
from benchmarks.kg_server_measure import SHAPES, Shape
from benchmarks.kg_server_process import (
    BenchmarkError,
    Helper,
    Server,
    has_workers_option,
    kg_server_command,
)
from benchmarks.kg_server_queries import BLOCK, GraphFiles, Workload, draw_workload
from kg_r1.kg.errors import KGError

EXIT_WRONG, EXIT_USAGE = 1, 2
TRIPLES_PER_SUBGRAPH, MEDIAN_SHARE = 1985, 1449 / 1985
NUM_QUERIES = 131_072
NUM_REPEATED = 256
MAX_PROBLEMS_TOLD = 5
BARE = "the server without data"


@dataclass
class Figures:
    """Everything that was measured.

    Attributes:
        loads: "kg/<workers> <load>" or "echo <load>" -> one outcome a round.
        health, starts: one entry a round.
        in_process: "quick", "retrieve" -> one entry a round.
        memory, bare_memory: after the load ran, with the data and with a data set of one triple.
        problems: what was wrong with answers.
    """

    loads: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    health: list[dict[str, Any]] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    in_process: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    bare_memory: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What every measurement shares. `commands` starts a KG server by its number of workers."""

    options: argparse.Namespace
    workload: Workload
    client: Helper
    local: Helper
    commands: dict[int, list[str]]
    bare_command: list[str]
    servers: dict[str, Server]

    def run_round(self, figures: Figures) -> None:
        """Measures everything once."""
        duration_s = self.options.duration_s
        for shape in SHAPES:
            for name, server in self.servers.items():
                self._load(figures, name, server, shape)
        kg_server = self.servers["kg/1"]
        figures.health.append(measure.health_under_load(self.client, kg_server, duration_s))
        figures.problems += figures.health[-1]["problems"]
        figures.starts.append(self._starts(figures))
        for method in ("quick", "retrieve"):
            is_first = method not in figures.in_process
            task = {"method": method, "duration_s": duration_s, "check": is_first}
            outcome = self.local.ask(task)
            figures.in_process.setdefault(method, []).append(outcome)
            if outcome["num_wrong"]:
                figures.problems.append(f"in process, {method}: {outcome['num_wrong']} wrong")

    def _load(self, figures: Figures, name: str, server: Server, shape: Shape) -> None:
        kinds = {"": {}, " repeated": {"num_bodies": max(1, NUM_REPEATED // shape.batch_size)}}
        for suffix, fields in kinds.items():
            if suffix and (not self.options.repeat or name == "echo"):
                continue
            is_true = name != "echo"  # whose answers are filler
            outcome = measure.load(
                self.client, server, shape, self.options.duration_s, checks=is_true, **fields
            )
            key = f"{name} {shape.name}{suffix}"
            figures.problems += [f"{key}: {one}" for one in measure.problems(outcome)]
            figures.loads.setdefault(key, []).append(outcome)
            rate = f"{outcome['queries_per_s']:,.0f} queries/s"
            say(f"{key}: {rate}, p50 {outcome['p50_ms']:.2f} ms, {outcome['idle_percent']:.0f} % idle")

    def _starts(self, figures: Figures) -> dict[str, float]:
        """Times both starts, and takes the memory of the server without data while it is there."""
        request = http_post(b"[" + self.workload.requests[0] + b"]")
        seconds, server = measure.timed_start(self.commands[1], request, "the KG server")
        server.stop()
        bare_seconds, bare = measure.timed_start(self.bare_command, measure.HEALTH, BARE)
        with bare:
            figures.bare_memory = measure.memory_figures(bare, self.workload.num_triples)
        return {"first_answer_s": seconds, "bare_health_s": bare_seconds}


def http_post(body: bytes) -> bytes:
    """A request to /retrieve with this body."""
    head = f"POST /retrieve HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_options(parser)
    parser.add_argument("--rounds", type=int, default=5, help="medians are over so many (default: 5)")
    parser.add_argument("--duration_s", type=float, default=3.0, help="of each load (default: 3)")
    parser.add_argument("--workers", default="1,2", help="numbers of them, 1 included (default: 1,2)")
    parser.add_argument(
        "--repeat", action="store_true", help=f"also ask the same {NUM_REPEATED} queries again and again"
    )
    parser.add_argument(
        "--echo_loop", choices=("asyncio", "uvloop"), default="asyncio", help="of the echo server"
    )
    parser.add_argument("--out", type=Path, help="write every figure to this JSON file")
    parser.add_argument(
        "--profile", type=Path, metavar="SVG", help="write a flame graph of the loaded server (py-spy)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, one short round: a test, not a measurement"
    )
    parser.add_argument("server_options", nargs="*", help="after --: options of the server")
    return parser


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Where graphs and queries come from."""
    parser.add_argument("--base_data_path", type=Path, help="serve this data path, and generate nothing")
    parser.add_argument("--dataset", help="the data set to ask about (default: the first that fits)")
    parser.add_argument(
        "--data_dir",
        type=Path,
        default=Path(tempfile.gettempdir()) / "kg_server_data",
        help="where generated graphs are kept",
    )
    parser.add_argument("--num_subgraphs", type=int, default=2000)
    parser.add_argument(
        "--num_triples", type=int, help=f"in all subgraphs (default: {TRIPLES_PER_SUBGRAPH} each)"
    )
    parser.add_argument("--num_queries", type=int, default=NUM_QUERIES, help=f"a multiple of {BLOCK}")
    parser.add_argument(
        "--error_share", type=float, default=0.0, help="share of queries that name what does not exist"
    )
    parser.add_argument("--seed", type=int, default=0)


def apply_quick(options: argparse.Namespace) -> None:
    """Replaces sizes and times by tiny ones."""
    options.num_subgraphs, options.num_triples, options.num_queries = 12, 3000, 8 * BLOCK
    options.rounds, options.duration_s = 1, 0.2


def check_options(options: argparse.Namespace) -> None:
    """Raises BenchmarkError for a value that is out of range."""
    if options.num_queries < BLOCK or options.num_queries % BLOCK:
        raise BenchmarkError(f"--num_queries {options.num_queries} is not a multiple of {BLOCK}")
    if not 0 <= options.error_share <= 1:
        raise BenchmarkError(f"--error_share {options.error_share:g} is not between 0 and 1")


def prepared_data(options: argparse.Namespace) -> tuple[Path, Workload]:
    """The data path, generated where none is given, and the queries about it."""
    base = options.base_data_path
    if base is None:
        num_triples = options.num_triples or TRIPLES_PER_SUBGRAPH * options.num_subgraphs
        middle = max(1, round(MEDIAN_SHARE * num_triples / max(1, options.num_subgraphs)))
        shape = DataShape(options.num_subgraphs, num_triples, middle, options.seed)
        base = ensure_data(options.data_dir, shape)
    files = GraphFiles(base, options.dataset)
    return base, draw_workload(files, options.num_queries, options.seed, options.error_share)


def worker_counts(text: str) -> list[int]:
    """The numbers of workers to measure: those asked for, as far as the server can have several.

    Raises:
        BenchmarkError: they are not numbers, or 1 is not among them.
    """
    if not all(one.strip().isdigit() for one in text.split(",")) or 1 not in map(int, text.split(",")):
        raise BenchmarkError(f"--workers {text} is no list of numbers with 1 among them", "Example: 1,2")
    counts = sorted({int(one) for one in text.split(",")} - {0})
    if counts != [1] and not has_workers_option():
        say("this server has no option --workers: only one process is measured")
        counts = [1]
    return counts


def command_of(base: Path, workers: int, server_options: Sequence[str]) -> list[str]:
    """The command line of a KG server with so many workers."""
    more = ["--workers", str(workers)] if has_workers_option() else []
    return kg_server_command(base, [*more, *server_options])


def echo_command(bytes_per_item: int, loop: str) -> list[str]:
    """The command line of the echo server."""
    size = ("--bytes_per_item", str(bytes_per_item))
    return [sys.executable, "-m", "benchmarks.kg_server_echo", *size, "--loop", loop]


@contextlib.contextmanager
def prepared(options: argparse.Namespace) -> Iterator[Bench]:
    """Data, queries, helpers and warm servers; all are stopped at the end."""
    if options.profile:
        measure.py_spy_path()
    counts = worker_counts(options.workers)
    check_options(options)
    base, workload = prepared_data(options)
    say(
        f"{len(workload.warmup)} graphs, {workload.num_triples:,} triples, "
        f"{workload.num_distinct:,} distinct queries"
    )
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kg_server_")))
        workload.save(folder)
        bare = folder / "bare" / DATASET
        bare.mkdir(parents=True)
        (bare / "triples.tsv").write_text("m.0\tr\tm.1\n", encoding="utf-8")
        client = stack.enter_context(Helper("benchmarks.kg_server_load", "--workload", str(folder)))
        commands = {count: command_of(base, count, options.server_options) for count in counts}
        with Server(commands[1], "the first KG server") as first:  # it may compile the data; never timed
            measure.warm_up(client, first)
        servers: dict[str, Server] = {}
        for count, command in commands.items():
            server = stack.enter_context(Server(command, f"the KG server with --workers {count}"))
            measure.warm_up(client, server)
            servers[f"kg/{count}"] = server
        trial = measure.load(client, servers["kg/1"], measure.LARGEST, options.duration_s)
        echo = echo_command(round(trial["reply_bytes_per_query"]), options.echo_loop)
        servers["echo"] = stack.enter_context(Server(echo, "the echo server"))
        sources = ("--base_data_path", str(base), "--workload", str(folder))
        local = stack.enter_context(Helper("benchmarks.kg_server_inprocess", *sources))
        bare_command = command_of(bare.parent, 1, options.server_options)
        yield Bench(options, workload, client, local, commands, bare_command, servers)


def measure_all(options: argparse.Namespace) -> tuple[Figures, Workload]:
    """Runs the rounds, then looks at memory, then profiles if asked to."""
    figures = Figures()
    with prepared(options) as bench:
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}")
            bench.run_round(figures)
        figures.memory = measure.memory_figures(bench.servers["kg/1"], bench.workload.num_triples)
        if options.profile:
            try:
                measure.profile(bench.client, bench.servers["kg/1"], options.profile, options.duration_s)
            except BenchmarkError as error:  # the figures are there, and are worth more than the picture
                say(f"no flame graph: {error}")
    return figures, bench.workload


def report(options: argparse.Namespace, figures: Figures, workload: Workload) -> dict[str, Any]:
    """Every figure as plain JSON."""
    lines = table.lines_of(asdict(figures))
    return {
        "options": {name: as_plain(value) for name, value in vars(options).items()},
        "machine": {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "load_average": os.getloadavg(),
        },
        "measured_at": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "data": {
            "graphs": len(workload.warmup),
            "triples": workload.num_triples,
            "distinct_queries": workload.num_distinct,
        },
        "peer": table.PEER,
        "table": [{**asdict(line), "ratio_to_peer": line.ratio, "met": line.met} for line in lines],
        **asdict(figures),
    }


def tell_problems(problems: Sequence[str]) -> int:
    """Writes the first of them to stderr; gives the exit status."""
    for problem in problems[:MAX_PROBLEMS_TOLD]:
        say(f"wrong: {problem}")
    if len(problems) > MAX_PROBLEMS_TOLD:
        say(f"wrong: {len(problems) - MAX_PROBLEMS_TOLD} more of this kind")
    return EXIT_WRONG if problems else 0


def as_plain(value: object) -> object:
    """A value of an option as JSON takes it."""
    return str(value) if isinstance(value, Path) else value


def main(argv: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(argv)
    if options.quick:
        apply_quick(options)
    try:
        figures, workload = measure_all(options)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(
                json.dumps(report(options, figures, workload), indent=1) + "\n", encoding="utf-8"
            )
    except (KGError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    print(table.table_text(table.lines_of(asdict(figures))))
    print()
    print(table.loads_text(figures.loads))
    return tell_problems(figures.problems)


if __name__ == "__main__":
    sys.exit(main())
