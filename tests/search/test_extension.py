"""Adding an action: both forms of the published interface as they stand, and a package of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Dict, List, Union  # noqa: UP035 -- as the published example writes them

import httpx
import pytest

from kg_r1.search.actions import ACTION_REGISTRY, ActionHandler, ActionRegistry, BaseAction, action_registry
from kg_r1.search.server import KnowledgeGraphRetriever, create_app
from tests.search.conftest import ROOT, ServerProcess

ENUM_MEMBER = '    GET_ENTITY_TYPES = "get_entity_types"\n'
HANDLER = '''
class GetEntityTypesAction(ActionHandler):
    """Handler for getting entity types."""

    def execute(self, sample_id: str, dataset_name: str, entity_id: str, **kwargs):
        """Get entity types for a given entity."""
        subgraph_data = self.load_subgraph(sample_id, dataset_name)
        if not subgraph_data or "triples" not in subgraph_data:
            return {"error": f"Subgraph for {sample_id} could not be loaded"}

        # Your custom logic here
        entity_types = []
        triples = subgraph_data["triples"]
        for head, rel, tail in triples:
            if head == entity_id and rel == "type":
                entity_types.append(tail)

        return {"entity_types": sorted(list(set(entity_types)))}

'''
REGISTRY_LINE = "    ActionType.GET_ENTITY_TYPES: GetEntityTypesAction,  # Add this line\n"
SAMPLE = {"action_type": "get_entity_types", "dataset_name": "webqsp", "sample_id": "s1", "entity_id": "m.1"}
WORLD = {"action_type": "get_entity_types", "dataset_name": "world", "entity_id": "France"}


def check_entity_types(address: str) -> None:
    items = httpx.post(f"{address}/retrieve", json=[SAMPLE, WORLD, {**SAMPLE, "sample_id": "s9"}]).json()
    assert items[0]["results"] == [{"entity_types": ["author", "person"]}]
    assert items[0]["total_results"] == 2
    assert items[1]["results"] == [{"entity_types": ["country"]}]
    assert items[2]["results"][0]["code"] == "unknown_sample"
    actions = httpx.get(f"{address}/actions").json()
    assert actions["available_actions"][-1] == "get_entity_types"
    assert actions["action_details"]["get_entity_types"] == {
        "required_fields": ["sample_id", "dataset_name", "entity_id"],
        "description": "Handler for getting entity types.",
    }


def test_the_three_edits_of_the_published_example(
    tmp_path: Path, base: Path, start_server: Callable[..., ServerProcess]
) -> None:
    copied = shutil.copytree(ROOT / "kg_r1", tmp_path / "checkout" / "kg_r1")
    path = copied / "search" / "actions.py"
    text = path.read_text(encoding="utf-8")
    last_member = '    GET_CONDITIONAL_RELATIONS = "get_conditional_relations"\n'
    last_line = "        ActionType.GET_CONDITIONAL_RELATIONS: GetConditionalRelationsAction,\n"
    for anchor, replacement in [
        (last_member, last_member + ENUM_MEMBER),
        ("ACTION_REGISTRY = ", HANDLER + "\nACTION_REGISTRY = "),
        (last_line, last_line + REGISTRY_LINE),
    ]:
        assert text.count(anchor) == 1
        text = text.replace(anchor, replacement)
    path.write_text(text, encoding="utf-8")
    script = copied / "search" / "kg_retrieval_server.py"
    check_entity_types(start_server("--base_data_path", base, script=script, cwd=tmp_path).address)


async def test_the_published_example_at_run_time(
    retriever: KnowledgeGraphRetriever, global_registry: ActionRegistry
) -> None:
    namespace: dict[str, Any] = {"ActionHandler": ActionHandler}
    exec(HANDLER, namespace)
    served = KnowledgeGraphRetriever(retriever.store)
    ACTION_REGISTRY["get_entity_types"] = namespace["GetEntityTypesAction"]
    assert served.retrieve(SAMPLE)["results"] == [{"entity_types": ["author", "person"]}]
    assert served.retrieve({**WORLD, "entity_id": "q1"})["results"] == [{"entity_types": ["country"]}]
    spec = ACTION_REGISTRY.specs()[-1]
    assert (spec.name, spec.example) == ("get_entity_types", 'get_entity_types("France")')


class YourNewAction(BaseAction):
    def get_required_fields(self) -> List[str]:  # noqa: UP006
        return ["sample_id", "dataset_name", "your_param"]

    def validate_request(self, request_data: Dict[str, Any]) -> bool:  # noqa: UP006
        required_fields = self.get_required_fields()
        return all(request_data.get(field) is not None for field in required_fields)

    def execute(self, retriever, request_data: Dict[str, Any]) -> Union[Dict[str, Any], Dict[str, str]]:  # noqa: UP006, UP007
        graph = retriever.graph(request_data["dataset_name"], request_data["sample_id"])
        return {"result": f"{request_data['your_param']}: {graph.num_triples}"}


async def test_an_instance_with_a_request_field_of_its_own(
    retriever: KnowledgeGraphRetriever, global_registry: ActionRegistry
) -> None:
    action_registry.register("your_new_action", YourNewAction())
    app = create_app(KnowledgeGraphRetriever(retriever.store))
    request = {"action_type": "your_new_action", "dataset_name": "world", "your_param": "size"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kg") as http:
        items = (
            await http.post(
                "/retrieve", json=[request, {**request, "your_param": None}, {**request, "sample_id": "x"}]
            )
        ).json()
        actions = (await http.get("/actions")).json()
    assert items[0]["results"] == items[2]["results"] == [{"result": "size: 10"}]
    assert items[0]["total_results"] == 1
    assert items[1]["results"][0]["code"] == "missing_field"
    assert "'your_param' is missing" in items[1]["results"][0]["error"]
    assert actions["action_details"]["your_new_action"] == {
        "required_fields": ["sample_id", "dataset_name", "your_param"],
        "description": "Your new action.",
    }
    spec = action_registry.specs()[-1]
    assert [argument.name for argument in spec.arguments] == ["your_param"]


class Choosy(YourNewAction):
    """Takes even numbers only."""

    def validate_request(self, request_data: Dict[str, Any]) -> bool:  # noqa: UP006
        return request_data["your_param"] % 2 == 0


def test_an_action_may_refuse_a_request(retriever: KnowledgeGraphRetriever, registry: ActionRegistry) -> None:
    registry.register("choosy", Choosy())
    request = {"action_type": "choosy", "dataset_name": "webqsp", "sample_id": "s1", "your_param": 3}
    assert retriever.retrieve({**request, "your_param": 4})["results"] == [{"result": "4: 4"}]
    refused = retriever.retrieve(request)["results"][0]
    assert refused["code"] == "invalid_field"
    assert "needs sample_id, dataset_name, your_param" in refused["error"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/custom_action, installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(
        ROOT / "examples" / "custom_action", tmp_path_factory.mktemp("source") / "custom_action"
    )
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_package_of_its_own(
    base: Path, installed: Path, start_server: Callable[..., ServerProcess]
) -> None:
    server = start_server("--base_data_path", base, env={"PYTHONPATH": str(installed)})
    with (base / "world" / "triples.tsv").open("a", encoding="utf-8") as file:
        file.write("q3\tborders\tq6\n")
    request = {
        "action_type": "get_shared_tail_entities",
        "dataset_name": "world",
        "entity_id": "france",
        "other_entity": "Spain",
        "relation": "borders",
    }
    other = {**request, "other_entity": "Madrid"}
    unknown = {**request, "other_entity": "Lyon"}
    items = httpx.post(f"{server.address}/retrieve", json=[request, other, unknown]).json()
    assert items[0]["results"] == [{"shared_tail_entities": ["Andorra"]}]
    assert [item["results"][0].get("code") for item in items[1:]] == ["no_results", "unknown_entity"]
    details = httpx.get(f"{server.address}/actions").json()["action_details"]["get_shared_tail_entities"]
    assert details["required_fields"] == [
        "sample_id",
        "dataset_name",
        "entity_id",
        "other_entity",
        "relation",
    ]


def test_a_package_is_seen_by_a_registry(
    installed: Path, registry: ActionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    registry.load_entry_points()
    spec = registry.spec("get_shared_tail_entities")
    assert spec.example == 'get_shared_tail_entities("France", "Belgium", "language")'
    assert [argument.name for argument in spec.arguments] == ["entity_id", "other_entity", "relation"]
    assert spec.arguments[1].help == "the name of the second entity"
