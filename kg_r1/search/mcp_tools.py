"""The registry's actions as tools of the Model Context Protocol (MCP).

In: a `KGClient` that answers searches, a registry, and the data sets to serve. Out: a tool per action with
the JSON schema of its arguments, and a tool result per call. Everything a tool says of itself comes from its
`ActionSpec`; the registry is asked at every call, so an action added later is listed the next time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mcp.server import Server, ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from kg_r1 import __version__
from kg_r1.search.client import KGClient, Retrieval
from kg_r1.search.errors import (
    ActionFailed,
    BadResponse,
    InvalidField,
    KGError,
    MissingField,
    UnknownAction,
    UnknownDataset,
    listed,
    one_line,
    quoted,
)
from kg_r1.search.registry import ActionRegistry
from kg_r1.search.specs import STANDARD_HELP, ActionSpec, ArgumentSpec

SERVER_NAME = "kg-r1"
MAX_TEXT_CHARS = 10_000  # of one text argument; graphs hold literals, such as descriptions, as entities
MAX_LIST_ITEMS = 1_000
MAX_ARGUMENTS_CHARS = 200_000  # of all arguments of a call, as JSON
MAX_TEXT_ITEMS = 100  # listed per field in the text form; the structured content always holds all

# A search changes nothing, gives the same answer again, and sees nothing beyond its graph.
ANNOTATIONS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


class GraphTools:
    """The tools over one client.

    Args:
        client: answers the searches.
        registry: which actions there are.
        datasets: the data sets to serve, each with whether a search in it must name a sample.
        actions: names of the actions to serve; None serves whatever the registry holds at the time.

    Raises:
        ValueError: no data set is given.
    """

    def __init__(
        self,
        client: KGClient,
        registry: ActionRegistry,
        datasets: Mapping[str, bool],
        actions: Sequence[str] | None = None,
    ) -> None:
        if not datasets:
            raise ValueError("datasets is empty; name at least one data set to serve")
        self.client = client
        self.registry = registry
        self.datasets = dict(datasets)
        self.actions = None if actions is None else tuple(actions)

    def specs(self) -> list[ActionSpec]:
        """The specs of the actions served now, in the registry's order or in that of `actions`."""
        names = self.registry if self.actions is None else self.actions
        return [self.registry.spec(name) for name in names if name in self.registry]

    def tools(self) -> list[Tool]:
        """The tools served now, one per action."""
        return [
            Tool(
                name=spec.name,
                description=spec.description,
                input_schema=self.schema(spec),
                annotations=ANNOTATIONS,
            )
            for spec in self.specs()
        ]

    def tool_schema(self, name: str) -> dict[str, Any] | None:
        """The JSON schema of a tool's arguments; None when there is no such tool."""
        return next((self.schema(spec) for spec in self.specs() if spec.name == name), None)

    def schema(self, spec: ActionSpec) -> dict[str, Any]:
        """The JSON schema of an action's arguments: what the model gives, then data set and sample.

        `dataset_name` is there only where there is a choice, `sample_id` only where a data set served
        needs it.
        """
        properties = {one.name: _argument_schema(one) for one in spec.arguments}
        required = [one.name for one in spec.arguments if one.required]
        if "dataset_name" in spec.required_fields and len(self.datasets) > 1:
            properties["dataset_name"] = {
                "type": "string",
                "enum": list(self.datasets),
                "description": "the data set to search in",
            }
            required.append("dataset_name")
        sampled = self._sampled(spec)
        if sampled:
            is_choice = len(sampled) < len(self.datasets)
            where = f"needed where dataset_name is {' or '.join(sampled)}" if is_choice else "always needed"
            properties["sample_id"] = {
                "type": "string",
                "maxLength": MAX_TEXT_CHARS,
                "description": f"the sample whose graph is searched; {where}",
            }
            if not is_choice:
                required.append("sample_id")
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    async def call(self, name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """Answers one call. A failure of any kind is a result with `is_error`, its code and one line."""
        try:
            request = self._request(name, arguments)
        except KGError as error:
            return failure(error.code, str(error))
        return tool_result(name, await self.client.retrieve(request))

    def _request(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        spec = next((spec for spec in self.specs() if spec.name == name), None)
        if spec is None:
            served = listed(spec.name for spec in self.specs())
            raise UnknownAction(f"there is no tool {quoted(name)}", f"Tools: {served}")
        schema = self.schema(spec)
        known = schema["properties"]
        unknown = [field for field in arguments if field not in known]
        if unknown:
            named = listed(map(quoted, unknown), max_items=5)
            raise InvalidField(f"{name} has no argument {named}", f"Arguments: {listed(known)}")
        _check_sizes(arguments)
        fields = {field: value for field, value in arguments.items() if value is not None}
        self._fill_dataset(spec, fields)
        needed = list(schema["required"])
        if fields.get("dataset_name") in self._sampled(spec) and "sample_id" not in needed:
            needed.append("sample_id")
        missing = [field for field in needed if field not in fields]
        if missing:
            raise MissingField(f"{name} lacks {listed(map(quoted, missing))}", f"It needs {listed(needed)}")
        return {**fields, "action_type": name}

    def _fill_dataset(self, spec: ActionSpec, fields: dict[str, Any]) -> None:
        if "dataset_name" not in spec.required_fields:
            return
        if len(self.datasets) == 1:
            fields["dataset_name"] = next(iter(self.datasets))
            return
        name = fields.get("dataset_name")
        if name is not None and (not isinstance(name, str) or name not in self.datasets):
            served = listed(map(quoted, self.datasets))
            raise UnknownDataset(f"there is no data set {quoted(str(name))}", f"Data sets: {served}")

    def _sampled(self, spec: ActionSpec) -> list[str]:
        """The data sets in which this action must be told a sample."""
        if "sample_id" not in spec.required_fields:
            return []
        if "dataset_name" not in spec.required_fields:  # nothing else says which graph is meant
            return list(self.datasets)
        return [name for name, needs_sample in self.datasets.items() if needs_sample]


def build_server(tools: GraphTools) -> Server[Any]:
    """An MCP server that lists and calls the tools, for any transport of the SDK."""

    async def list_tools(
        context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=tools.tools())

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        return await tools.call(params.name, params.arguments or {})

    return Server(
        SERVER_NAME,
        version=__version__,
        instructions=(
            "Searches in knowledge graphs of triples (head, relation, tail). Ask for an entity's relations "
            "first, then follow one of them with its exact name: tail entities are the ? of (entity, "
            "relation, ?), head entities the ? of (?, relation, entity). "
            f"Data sets: {listed(tools.datasets)}."
        ),
        get_tool_input_schema=tools.tool_schema,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def tool_result(name: str, retrieval: Retrieval) -> CallToolResult:
    """What an action answered, as structured content and as text."""
    if retrieval.error is not None:
        return failure(retrieval.error.code, retrieval.error.message)
    if len(retrieval.results) != 1:
        bad = BadResponse(f"the server gave {len(retrieval.results)} results for one request")
        return failure(bad.code, str(bad))
    result = retrieval.results[0]
    text = "\n".join(_field_text(field, value) for field, value in result.items()) or "{}"
    try:
        json.dumps(result, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        # The transport writes UTF-8; what it cannot write would end the whole connection.
        broken = ActionFailed(f"{name} answered with text that is not valid Unicode")
        return failure(broken.code, str(broken))
    return CallToolResult(content=[TextContent(text=text)], structured_content=result)


def failure(code: str, message: str) -> CallToolResult:
    """A search that failed, as a tool result: the model that called can mend its call."""
    code, message = one_line(code), one_line(message)
    return CallToolResult(
        content=[TextContent(text=f"{code}: {message}")],
        structured_content={"error": message, "code": code},
        is_error=True,
    )


def _argument_schema(argument: ArgumentSpec) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "maxLength": MAX_TEXT_CHARS}
    if argument.many:
        names = {"type": "array", "items": text, "minItems": 1, "maxItems": MAX_LIST_ITEMS}
        return {"anyOf": [text, names], "description": f"{argument.help}, or a list of several"}
    # An argument of another package's action may be of any JSON type; the spec does not say which.
    is_text = argument.name in STANDARD_HELP
    return {**(text if is_text else {}), "description": argument.help}


def _check_sizes(arguments: Mapping[str, Any]) -> None:
    for field, value in arguments.items():
        if isinstance(value, list) and len(value) > MAX_LIST_ITEMS:
            raise InvalidField(
                f"argument {quoted(field)} has {len(value)} items; at most {MAX_LIST_ITEMS} fit"
            )
        texts = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
        longest = max(map(len, texts), default=0)
        if longest > MAX_TEXT_CHARS:
            raise InvalidField(
                f"argument {quoted(field)} has a text of {longest} characters; at most {MAX_TEXT_CHARS} fit"
            )
    num_chars = len(json.dumps(arguments, ensure_ascii=False))
    if num_chars > MAX_ARGUMENTS_CHARS:
        raise InvalidField(f"the arguments have {num_chars} characters; at most {MAX_ARGUMENTS_CHARS} fit")


def _field_text(field: str, value: object) -> str:
    if not isinstance(value, list):
        return f"{field}: {json.dumps(value, ensure_ascii=False)}"
    shown = json.dumps(value[:MAX_TEXT_ITEMS], ensure_ascii=False)
    num_left_out = len(value) - MAX_TEXT_ITEMS
    return f"{field}: {shown}" + (f" (+{num_left_out} more)" if num_left_out > 0 else "")
