"""`KnowledgeGraphRetriever` answers requests from the graphs of a store, without HTTP.

In: requests as JSON objects (see `SearchRequest`). Out: one item per request, in the same order. A request
that cannot be answered gives an error item in its place; nothing a request holds can fail the others.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from kg_r1.kg.knowledge_graph import KnowledgeGraph, Triple
from kg_r1.kg.store import GraphStore
from kg_r1.search.actions import ACTION_REGISTRY, QUICK_ACTIONS, SearchRequest
from kg_r1.search.errors import (
    ActionFailed,
    DataError,
    InvalidField,
    KGError,
    MissingField,
    listed,
    quoted,
)
from kg_r1.search.handlers import ActionHandler, BaseAction, labelled_subgraph
from kg_r1.search.quick import QuickAnswers
from kg_r1.search.registry import Action, ActionRegistry
from kg_r1.search.results import NOTE_FIELDS, listed_items
from kg_r1.search.specs import ActionSpec, execute_parameters, takes_any_field

logger = logging.getLogger(__name__)

FIELD_TYPES = {
    "entity_id": "a name or a list of names",
    "limit": "a whole number from 1",
    "offset": "a whole number from 0",
}
PAGE_FIELDS = ("limit", "offset")


class KnowledgeGraphRetriever:
    """Answers search requests from the graphs of a store. Thread-safe; needs no HTTP.

    Args:
        store: where the graphs come from.
        registry: which actions there are; additions made later are seen. A plain mapping is copied.
    """

    def __init__(self, store: GraphStore, registry: Mapping[str, Action] = ACTION_REGISTRY) -> None:
        self.store = store
        self.registry = registry if isinstance(registry, ActionRegistry) else ActionRegistry(registry)
        self._handlers: dict[type[ActionHandler], ActionHandler] = {}
        self._quick = QuickAnswers(store, self.registry, QUICK_ACTIONS)

    def retrieve(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answers one request; a failure becomes an error item, never an exception.

        Returns:
            {"results": [result], "query_time": seconds, "total_results": items found}, where an error item's
            result is {"error": one line, "code": code} and its total 0. `limit` and `offset` of a request
            cut the lists of its result, not the total.
        """
        start = time.perf_counter()
        try:
            result = self._answer(request)
            num_items = len(listed_items(result))
            result = self._page(result, request)
        except KGError as error:
            if isinstance(error, DataError):
                logger.error("%s", error)
            result, num_items = {"error": str(error), "code": error.code}, 0
        except Exception as error:  # an action of another package may raise anything
            logger.exception("the request %s failed", quoted(repr(request), max_chars=500))
            failure = ActionFailed(
                f"the action broke with {type(error).__name__}", "The server's log says more"
            )
            result, num_items = {"error": str(failure), "code": failure.code}, 0
        seconds = round(time.perf_counter() - start, 6)
        return {"results": [result], "query_time": seconds, "total_results": num_items}

    def retrieve_batch(self, requests: Sequence[Any]) -> list[dict[str, Any]]:
        """Answers each request on its own, in the order given; [] gives []."""
        return [self.retrieve(request) for request in requests]

    def quick(self, request: object) -> bytes | None:
        """The item of one request as JSON, if it is at hand at once; None when `retrieve` must be asked.

        Never reads a file, never runs an action of another package, never raises: what takes long, and
        what fails, is left to `retrieve`. The item is the one that `retrieve` gives, but for `query_time`.
        """
        return self._quick.item(request)

    def graph(self, dataset_name: str, sample_id: str | None = None) -> KnowledgeGraph:
        """One graph, for actions that work on the retriever; see `GraphStore.graph`."""
        return self.store.graph(dataset_name, sample_id)

    def load_subgraph(self, sample_id: str | None, dataset_name: str) -> dict[str, list[Triple]] | None:
        """One graph as {"triples": [...]} with labels; None when there is none. Raises DataError."""
        return labelled_subgraph(self.store, sample_id, dataset_name)

    def _answer(self, request: object) -> dict[str, Any]:
        if not isinstance(request, Mapping):
            raise InvalidField(f"a request is an object, not {json_type(request)}")
        name = request.get("action_type")
        if name is None:
            raise MissingField("field 'action_type' is missing", f"Actions: {listed(self.registry)}")
        if not isinstance(name, str):
            raise InvalidField(f"field 'action_type' must be text, not {json_type(name)}")
        spec = self.registry.spec(name)
        action = self.registry[name]
        _check_types(request)
        fields = {field: value for field, value in request.items() if value is not None}
        self._fill_sample_id(fields, spec)
        missing = [field for field in spec.required_fields if field not in fields]
        if missing:
            needed = f"{spec.name} needs {listed(spec.required_fields)}"
            raise MissingField(f"{_fields(missing)} missing", needed)
        return _checked_result(spec.name, self._execute(action, spec, fields))

    def _execute(self, action: Action, spec: ActionSpec, fields: dict[str, Any]) -> object:
        if isinstance(action, BaseAction):
            if not action.validate_request(fields):
                needed = f"It needs {listed(spec.required_fields)}"
                raise InvalidField(f"{spec.name} does not accept this request", needed)
            return action.execute(self, fields)
        takes_list = any(one.name == "entity_id" and one.many for one in spec.arguments)
        if isinstance(fields.get("entity_id"), list) and not takes_list:
            raise InvalidField(f"field 'entity_id' of {spec.name} takes one name, not a list")
        handler = self._handlers.get(action)
        if handler is None:
            handler = self._handlers.setdefault(action, action(self.store))
        known = {one.name for one in execute_parameters(action)}
        hands_on = takes_any_field(action)
        keywords = {
            field: value
            for field, value in handler.prepare(fields).items()
            if field in known or (hands_on and field not in ("self", "action_type"))
        }
        return handler.execute(**keywords)

    def _page(self, result: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
        spec = self.registry.spec(request["action_type"])
        own = {*spec.required_fields, *(one.name for one in spec.arguments)}
        limit, offset = (None if field in own else request.get(field) for field in PAGE_FIELDS)
        if limit is None and not offset:
            return result
        start = offset or 0
        end = None if limit is None else start + limit
        return {
            field: value[start:end] if isinstance(value, list) and field not in NOTE_FIELDS else value
            for field, value in result.items()
        }

    def _fill_sample_id(self, fields: dict[str, Any], spec: ActionSpec) -> None:
        # A shared graph is the same for every sample, so a request need not name one.
        is_wanted = "sample_id" in spec.required_fields and "sample_id" not in fields
        if is_wanted and "dataset_name" in fields and self.store.is_shared(fields["dataset_name"]):
            fields["sample_id"] = ""


def _check_types(request: Mapping[str, Any]) -> None:
    try:
        SearchRequest.model_validate(dict(request))
    except ValidationError as error:
        places = [one["loc"][0] for one in error.errors(include_url=False, include_input=False)]
        field = str(places[0])
        wanted = FIELD_TYPES.get(field, "text")
        raise InvalidField(f"field {quoted(field)} must be {wanted}, in valid Unicode") from error


def _checked_result(name: str, result: object) -> dict[str, Any]:
    """The result as plain JSON, the same for a caller in this process as for one behind HTTP."""
    if not isinstance(result, Mapping):
        raise ActionFailed(f"{name} answered with {type(result).__name__}, not with an object")
    try:
        plain = json.loads(json.dumps(dict(result), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ActionFailed(f"{name} answered with what JSON cannot hold ({error})") from error
    if plain.get("error") is not None:
        failure = ActionFailed(str(plain["error"]))
        failure.code = plain["code"] if isinstance(plain.get("code"), str) else ActionFailed.code
        raise failure
    return plain


def _fields(names: list[str]) -> str:
    shown = listed(map(quoted, names))
    return f"field {shown} is" if len(names) == 1 else f"fields {shown} are"


def json_type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
