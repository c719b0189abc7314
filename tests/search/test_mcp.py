"""`kg-r1 mcp` as a real client of the SDK sees it: over stdio, over streamable HTTP, and in process."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

pytest.importorskip("mcp_types", reason="the MCP SDK is not installed")

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import CallToolResult

from kg_r1.search import mcp_tools
from kg_r1.search.actions import ACTION_REGISTRY, ActionRegistry, GraphAction
from kg_r1.search.client import InProcessKGClient, Retrieval
from kg_r1.search.mcp_tools import GraphTools, build_server
from kg_r1.search.retriever import KnowledgeGraphRetriever
from tests.search.conftest import ROOT, ServerProcess

COMMAND = (sys.executable, "-m", "kg_r1.cli", "mcp")
ALL = [spec.name for spec in ACTION_REGISTRY.specs()]
# Each built-in action, what it is asked of the small world, and the field and items it answers with.
CASES = [
    ("get_relations", {"entity_id": "Spain"}, "relations", ["borders", "capital"]),
    ("get_head_relations", {"entity_id": "Spain"}, "head_relations", ["borders", "located_in"]),
    ("get_tail_relations", {"entity_id": "Spain"}, "tail_relations", ["borders", "capital"]),
    ("get_head_entities", {"entity_id": "Spain", "relation": "borders"}, "head_entities", ["France"]),
    ("get_tail_entities", {"entity_id": ["Spain", "q1"], "relation": "capital"}, "tail_entities", None),
    (
        "get_conditional_relations",
        {"entity_id": "France", "concept": "LANG"},
        "relations",
        ["language.official"],
    ),
]
CASES[0][3].append("located_in")
THIRD_PARTY = '''
import time
from kg_r1.search.actions import GraphAction


class Noisy(GraphAction):
    """Says hello, loudly and late."""

    def execute(self, dataset_name: str, wait_s: float, **kwargs):
        print("this must not reach the client", flush=True)
        time.sleep(wait_s)
        return {"greetings": ["hello"]}
'''


def stdio(*arguments: object, env: dict[str, str] | None = None) -> StdioServerParameters:
    return StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], *map(str, arguments)], cwd=ROOT, env=env
    )


def text_of(result: CallToolResult) -> str:
    assert [one.type for one in result.content] == ["text"]
    return str(getattr(result.content[0], "text"))  # noqa: B009 -- a block of another kind was ruled out above


async def check_searches(client: Client, dataset: dict[str, str]) -> None:
    """What holds over every transport; `dataset` is the argument that names the small world."""
    assert [tool.name for tool in (await client.list_tools()).tools][:6] == ALL
    for name, arguments, field, items in CASES:
        result = await client.call_tool(name, {**arguments, **dataset})
        assert not result.is_error, text_of(result)
        assert result.structured_content == {field: items or ["Madrid", "Paris [q2]"]}
        assert text_of(result).startswith(f'{field}: ["')
    for name, arguments, code, words in [
        ("get_relations", {"entity_id": "Frnace"}, "unknown_entity", "Close to 'Frnace': 'France'"),
        ("get_tail_entities", {"entity_id": "France", "relation": "x"}, "unknown_relation", "Tail relations"),
        ("get_head_entities", {"entity_id": "France", "relation": "capital"}, "no_results", "has no head"),
        ("get_tail_entities", {"entity_id": "France"}, "missing_field", "lacks 'relation'"),
        ("get_relations", {"entity_id": 7}, "invalid_field", "'entity_id' must be a name or a list of names"),
        (
            "get_relations",
            {"entity": "France"},
            "invalid_field",
            "no argument 'entity'. Arguments: entity_id",
        ),
        ("get_everything", {}, "unknown_action", "there is no tool 'get_everything'. Tools: get_relations"),
    ]:
        result = await client.call_tool(name, {**arguments, **dataset})
        assert result.is_error
        assert result.structured_content["code"] == code
        assert words in text_of(result) == f"{code}: {result.structured_content['error']}"
        assert "\n" not in text_of(result)
    names = ["France", "Spain"] * 10
    many = await asyncio.gather(
        *(
            client.call_tool("get_tail_entities", {"entity_id": n, "relation": "capital", **dataset})
            for n in names
        )
    )
    assert [one.structured_content["tail_entities"] for one in many] == [["Paris [q2]"], ["Madrid"]] * 10


async def test_over_stdio_to_a_client_that_shakes_hands(base: Path) -> None:
    async with Client(stdio("--base_data_path", base), mode="legacy") as client:
        assert client.server_info is not None and client.server_info.name == "kg-r1"
        assert "Data sets: webqsp, world" in (client.instructions or "")
        await check_searches(client, {"dataset_name": "world"})


async def test_over_http_in_both_generations_of_the_protocol_and_after_a_disconnect(
    base: Path, start_server: Callable[..., ServerProcess]
) -> None:
    arguments = ("--base_data_path", base, "--datasets", "world", "--transport", "http")
    server = start_server(*arguments, command=COMMAND)
    for mode in ("auto", "legacy"):
        async with Client(server.address, mode=mode) as client:
            await check_searches(client, {})
    address = urlsplit(server.address)
    assert httpx.get(f"http://{address.netloc}/health").json()["service"] == "kg_mcp"
    # Through another name a web page could reach a server that listens to this machine alone.
    assert httpx.post(server.address, json={}, headers={"Host": "evil.example"}).status_code == 421
    assert httpx.post(server.address, content=b" " * 1_000_001).status_code == 413
    assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in "".join(server.lines)


async def test_a_key_is_asked_for(
    base: Path, tmp_path: Path, start_server: Callable[..., ServerProcess]
) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    options = ("--base_data_path", base, "--transport", "http", "--host", "0.0.0.0")
    server = start_server(*options, "--api_key_file", tmp_path / "key", command=COMMAND)
    address = server.address.replace("0.0.0.0", "127.0.0.1")
    for value in (None, "Bearer wrong", "Basic s3cret"):
        refused = httpx.post(address, json={}, headers={} if value is None else {"Authorization": value})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert httpx.get(address.replace("/mcp", "/health")).status_code == 200
    async with (
        create_mcp_http_client(headers={"Authorization": "Bearer s3cret"}) as http,
        Client(streamable_http_client(address, http_client=http)) as client,
    ):
        assert len((await client.list_tools()).tools) == 6
    assert "s3cret" not in "".join(server.lines)


@pytest.fixture
def third_party(tmp_path: Path) -> dict[str, str]:
    """The environment in which a package with an action of its own is installed."""
    info = tmp_path / "installed" / "noisy_actions-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy-actions\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kg_r1.actions]\nnoisy = noisy_actions:Noisy\n")
    (info.parent / "noisy_actions.py").write_text(THIRD_PARTY)
    return {"PYTHONPATH": str(info.parent)}


async def test_an_action_of_another_package_that_prints(base: Path, third_party: dict[str, str]) -> None:
    arguments = ("--base_data_path", base, "--datasets", "world", "--actions", "noisy,find_paths")
    async with Client(stdio(*arguments, env=third_party)) as client:
        noisy, optional = (await client.list_tools()).tools
        assert (noisy.name, optional.name) == ("noisy", "find_paths")
        assert noisy.description == "Says hello, loudly and late."
        assert noisy.input_schema["properties"] == {"wait_s": {"description": "wait s"}}
        result = await client.call_tool("noisy", {"wait_s": 0})
        assert result.structured_content == {"greetings": ["hello"]}
        assert (await client.call_tool("get_tail_relations", {})).structured_content[
            "code"
        ] == "unknown_action"


async def test_a_client_that_goes_away_takes_nobody_with_it(
    base: Path, third_party: dict[str, str], start_server: Callable[..., ServerProcess]
) -> None:
    arguments = ("--base_data_path", base, "--datasets", "world", "--transport", "http")
    server = start_server(*arguments, command=COMMAND, env=third_party)
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"noisy","arguments":{"wait_s":0.3}}}'
    )
    head = (
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    port = urlsplit(server.address).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port)) as gone:
        gone.sendall(head.encode() + body)
    async with Client(server.address) as client:
        result = await client.call_tool("noisy", {"wait_s": 0.3})
        assert result.structured_content == {"greetings": ["hello"]}
    assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in "".join(server.lines)


@pytest.mark.parametrize("reads_the_answer", [True, False])
def test_the_end_of_the_input_ends_the_server(base: Path, reads_the_answer: bool) -> None:
    call = '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}\n'
    command = [*COMMAND, "--base_data_path", str(base)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as server:
        assert server.stdin is not None and server.stdout is not None and server.stderr is not None
        if not reads_the_answer:
            server.stdout.close()
        server.stdin.write("this is no message\n" + call)
        server.stdin.close()
        log = server.stderr.read()
        assert server.wait(timeout=60) == 0, log
        assert "Traceback" not in log
        assert ("the client went away" in log) is not reads_the_answer


async def test_through_a_running_server(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    address = start_server("--base_data_path", base).address
    arguments = ("--search_url", f"{address}/retrieve", "--datasets", "world,webqsp")
    async with Client(stdio(*arguments)) as client:
        await check_searches(client, {"dataset_name": "world"})
        sample = {"entity_id": "m.1", "dataset_name": "webqsp"}
        lacking = await client.call_tool("get_tail_relations", sample)
        assert lacking.structured_content == {
            "error": "get_tail_relations lacks 'sample_id'. It needs entity_id, dataset_name, sample_id",
            "code": "missing_field",
        }
        found = await client.call_tool("get_tail_relations", {**sample, "sample_id": "s1"})
        assert found.structured_content == {"tail_relations": ["people.person.place_of_birth", "type"]}


async def test_the_world_kg() -> None:
    if not (ROOT / "data_kg" / "world").is_dir():
        pytest.skip("data_kg/world is not built")
    arguments = ("--base_data_path", ROOT / "data_kg", "--datasets", "world")
    async with Client(stdio(*arguments)) as client:
        capital = {"relation": "capital"}
        found = await client.call_tool("get_tail_entities", {"entity_id": "France", **capital})
        assert found.structured_content == {"tail_entities": ["Paris"]}
        back = await client.call_tool("get_head_entities", {"entity_id": "Paris", **capital})
        assert back.structured_content == {"head_entities": ["France"]}
        for name in ("get_relations", "get_head_relations", "get_tail_relations"):
            assert "capital" in text_of(await client.call_tool(name, {"entity_id": ["France", "Paris"]}))
        about = await client.call_tool(
            "get_conditional_relations", {"entity_id": "France", "concept": "capit"}
        )
        assert about.structured_content == {"relations": ["capital"]}


@pytest.fixture
def served(retriever: KnowledgeGraphRetriever) -> Callable[..., GraphTools]:
    """Tools over the small data sets, in process, of the data sets named."""

    def tools(**datasets: bool) -> GraphTools:
        return GraphTools(InProcessKGClient(retriever), retriever.registry, datasets)

    return tools


async def test_what_a_tool_says_of_itself(served: Callable[..., GraphTools]) -> None:
    async with Client(build_server(served(world=False, webqsp=True))) as client:
        tool = (await client.list_tools()).tools[4]
    spec = ACTION_REGISTRY.spec("get_tail_entities")
    assert (tool.name, tool.description) == (spec.name, spec.description)
    assert tool.annotations is not None
    assert (tool.annotations.read_only_hint, tool.annotations.idempotent_hint) == (True, True)
    properties = tool.input_schema["properties"]
    assert list(properties) == ["entity_id", "relation", "dataset_name", "sample_id"]
    assert [one["type"] for one in properties["entity_id"]["anyOf"]] == ["string", "array"]
    assert properties["dataset_name"]["enum"] == ["world", "webqsp"]
    assert properties["sample_id"]["description"].endswith("needed where dataset_name is webqsp")
    assert tool.input_schema["required"] == ["entity_id", "relation", "dataset_name"]


def test_a_data_set_without_a_choice_is_not_asked_for(served: Callable[..., GraphTools]) -> None:
    alone = served(world=False).tool_schema("get_relations")
    assert alone is not None and list(alone["properties"]) == alone["required"] == ["entity_id"]
    sampled = served(webqsp=True).tool_schema("get_relations")
    assert sampled is not None and sampled["required"] == ["entity_id", "sample_id"]
    assert served(world=False).tool_schema("nothing") is None


class Unprintable(GraphAction):
    """Answers with a surrogate."""

    def execute(self, **kwargs: Any) -> dict[str, Any]:
        return {"items": ["\ud800"]}


class Long(GraphAction):
    """Answers with many items, and one that is no list."""

    def execute(self, **kwargs: Any) -> dict[str, Any]:
        return {"items": [str(n) for n in range(mcp_tools.MAX_TEXT_ITEMS + 7)], "share": 0.5}


async def test_what_is_registered_later_is_served(
    served: Callable[..., GraphTools], registry: ActionRegistry
) -> None:
    async with Client(build_server(served(world=False))) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ALL
        registry.register("long", Long)
        registry.register("unprintable", Unprintable)
        assert [tool.name for tool in (await client.list_tools()).tools] == [*ALL, "long", "unprintable"]
        result = await client.call_tool("long", {})
        broken = await client.call_tool("unprintable", {})
        del registry["long"]
        gone = await client.call_tool("long", {})
    assert result.structured_content == Long(None).execute()  # type: ignore[arg-type] -- it reads no store
    assert text_of(result).splitlines()[0].endswith('"99"] (+7 more)')
    assert text_of(result).splitlines()[1] == "share: 0.5"
    assert broken.structured_content["code"] == "action_failed"
    assert gone.structured_content["code"] == "unknown_action"


async def test_arguments_have_limits(served: Callable[..., GraphTools], registry: ActionRegistry) -> None:
    tools = served(world=False, webqsp=True)
    longest, most = mcp_tools.MAX_TEXT_CHARS, mcp_tools.MAX_LIST_ITEMS
    fits = await tools.call("get_relations", {"entity_id": ["x" * longest], "dataset_name": "world"})
    assert fits.structured_content["code"] == "unknown_entity"
    for arguments, words in [
        ({"entity_id": "x" * (longest + 1)}, f"a text of {longest + 1} characters; at most {longest} fit"),
        ({"entity_id": ["x"] * (most + 1)}, f"has {most + 1} items; at most {most} fit"),
        ({"entity_id": ["x" * longest] * 21}, f"at most {mcp_tools.MAX_ARGUMENTS_CHARS} fit"),
        ({"entity_id": []}, "is an empty list"),
        (
            {"entity_id": "France", "dataset_name": "nowhere"},
            "no data set 'nowhere'. Data sets: 'world', 'webqsp'",
        ),
        ({"entity_id": "France", "dataset_name": ["world"]}, "there is no data set"),
        ({"entity_id": None}, "lacks 'entity_id'"),
    ]:
        refused = await tools.call("get_relations", {"dataset_name": "world", **arguments})
        assert refused.is_error and words in text_of(refused)


def test_an_answer_that_is_not_as_documented(served: Callable[..., GraphTools]) -> None:
    result = mcp_tools.tool_result("x", Retrieval(results=(), query_time=0.0, total_results=0))
    assert result.is_error and text_of(result) == "bad_response: the server gave 0 results for one request"
    with pytest.raises(ValueError, match="datasets is empty"):
        served()
