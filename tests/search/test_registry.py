"""The registry: one spelling per action, specs derived from the action, entry points of other packages."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from kg_r1.search.actions import (
    ACTION_REGISTRY,
    ActionHandler,
    ActionRegistry,
    ActionSpec,
    ActionType,
    ArgumentSpec,
    BaseAction,
    GetRelationsAction,
    GetTailEntitiesAction,
    action_registry,
)
from kg_r1.search.errors import UnknownAction
from kg_r1.search.specs import EntityForm, with_entity_form


class Neighbours(ActionHandler):
    """Lists what is near.

    More text, which is not the description.
    """

    argument_help: ClassVar[dict[str, str]] = {"max_steps": "how far to go"}

    def execute(
        self,
        sample_id: str,
        dataset_name: str,
        entity_id: str,
        others: list[str],
        max_steps: int,
        relation: str | list[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        return {"near": [entity_id, *others, str(max_steps), str(relation)]}


class Plain(BaseAction):
    def __init__(self, *fields: str) -> None:
        self.fields = list(fields)

    def get_required_fields(self) -> list[str]:
        return self.fields

    def execute(self, retriever: Any, request_data: dict[str, Any]) -> dict[str, Any]:
        return {"fields": sorted(request_data)}


def test_both_names_are_one_registry_with_every_built_in_action() -> None:
    assert action_registry is ACTION_REGISTRY
    assert list(ACTION_REGISTRY)[: len(ActionType)] == [member.value for member in ActionType]


def test_a_member_of_the_enum_and_its_value_are_one_name(registry: ActionRegistry) -> None:
    assert registry[ActionType.GET_RELATIONS] is registry["get_relations"] is GetRelationsAction
    assert ActionType.GET_RELATIONS in registry
    registry[ActionType.GET_RELATIONS] = Neighbours
    assert registry["get_relations"] is Neighbours
    assert len(registry) == len(ActionType)
    del registry["get_relations"]
    assert ActionType.GET_RELATIONS not in registry


def test_the_spec_of_a_built_in_action(registry: ActionRegistry) -> None:
    assert registry.spec("get_tail_entities") == ActionSpec(
        name="get_tail_entities",
        arguments=(
            ArgumentSpec("entity_id", True, True, "the name of an entity"),
            ArgumentSpec("relation", True, False, "the exact name of a relation"),
        ),
        required_fields=("sample_id", "dataset_name", "entity_id", "relation"),
        description="Lists the entities that an entity has a relation to.",
        example='get_tail_entities("France", "capital")',
    )


def test_the_entity_form_decides_what_may_stand_for_entities(registry: ActionRegistry) -> None:
    def forms(form: EntityForm) -> list[tuple[str, bool, bool]]:
        (spec,) = with_entity_form([registry.spec("get_tail_entities")], form)
        return [(one.name, one.many, one.takes_handle) for one in spec.arguments]

    assert forms("name") == [("entity_id", False, False), ("relation", False, False)]
    assert forms("list") == [("entity_id", True, False), ("relation", False, False)]
    assert forms("handle") == [("entity_id", True, True), ("relation", False, False)]
    with pytest.raises(ValueError, match="must be one of name, list, handle, not 'set'"):
        with_entity_form([], cast(Any, "set"))


def test_the_spec_of_a_handler_follows_its_signature(registry: ActionRegistry) -> None:
    registry.register("get_neighbours", Neighbours)
    spec = registry.spec("get_neighbours")
    assert spec.required_fields == ("sample_id", "dataset_name", "entity_id", "others", "max_steps")
    assert [(one.name, one.required, one.many) for one in spec.arguments] == [
        ("entity_id", True, False),
        ("others", True, True),
        ("max_steps", True, False),
        ("relation", False, True),
    ]
    assert [one.help for one in spec.arguments][1:3] == ["others", "how far to go"]
    assert spec.description == "Lists what is near."
    assert spec.example == 'get_neighbours("France", "others", "max_steps")'


def test_annotations_that_cannot_be_read_are_no_obstacle(registry: ActionRegistry) -> None:
    class Strange(ActionHandler):
        def execute(self, dataset_name: Missing, entity_id: list[Missing]) -> dict[str, Any]:  # noqa: F821
            return {}

    registry["strange"] = Strange
    assert registry.spec("strange").arguments == (
        ArgumentSpec("entity_id", True, False, "the name of an entity"),
    )
    assert registry.spec("strange").description == "Strange."


def test_the_spec_of_a_base_action_follows_its_fields(registry: ActionRegistry) -> None:
    registry.register("get_plain", Plain("sample_id", "dataset_name", "year"))
    spec = registry.spec("get_plain")
    assert spec.required_fields == ("sample_id", "dataset_name", "year")
    assert spec.arguments == (ArgumentSpec("year", True, False, "year"),)
    assert (spec.description, spec.example) == ("Get plain.", 'get_plain("year")')


def test_specs_in_the_order_asked(registry: ActionRegistry) -> None:
    names = ["get_tail_entities", "get_relations"]
    assert [spec.name for spec in registry.specs(names)] == names
    assert [spec.name for spec in registry.specs()] == list(registry)
    assert registry.specs([]) == []
    with pytest.raises(UnknownAction, match=r"no action 'nope'\. Actions: get_relations"):
        registry.specs(["nope"])


def test_register_refuses_a_name_that_is_taken(registry: ActionRegistry) -> None:
    registry.register(ActionType.GET_RELATIONS, GetRelationsAction)
    with pytest.raises(ValueError, match="'get_relations' exists"):
        registry.register(ActionType.GET_RELATIONS, Neighbours)


@pytest.mark.parametrize("name", ["", "two words", "a-b", "1st", 'x("y")'])
def test_a_name_must_fit_the_call_form(registry: ActionRegistry, name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits and underscores"):
        registry[name] = Neighbours


class Abstract(ActionHandler):
    """Has no execute."""


@pytest.mark.parametrize(
    "action", [Abstract, Plain, object(), len, GetTailEntitiesAction(None), Plain(5), None]
)  # type: ignore[arg-type]
def test_what_is_no_action_is_refused_when_it_is_added(registry: ActionRegistry, action: Any) -> None:
    with pytest.raises(TypeError, match="odd"):
        registry["odd"] = action
    assert "odd" not in registry


def install(folder: Path, package: str, entry: str, code: str) -> None:
    """Lays down a distribution as pip does: a module and its metadata."""
    (folder / f"{package}.py").write_text(code, encoding="utf-8")
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[kg_r1.actions]\n{entry}\n")


GOOD_CODE = """
from kg_r1.search.actions import BaseAction, GetRelationsAction
class Handler(GetRelationsAction):
    '''Says hello.'''
class Base(BaseAction):
    def get_required_fields(self): return ["dataset_name"]
    def execute(self, retriever, request_data): return {"x": ["y"]}
instance = Base()
"""


def test_entry_points_are_loaded_and_broken_ones_left_out(
    tmp_path: Path,
    registry: ActionRegistry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    install(tmp_path, "kg_good", "a_handler = kg_good:Handler", GOOD_CODE)
    install(tmp_path, "kg_base", "a_class = kg_base:Base\nan_instance = kg_base:instance", GOOD_CODE)
    install(tmp_path, "kg_broken", "a_broken = kg_broken:Handler", "import no_such_module_anywhere")
    install(tmp_path, "kg_absent", "an_absent = kg_absent:Nothing", "")
    install(tmp_path, "kg_clash", "get_relations = kg_clash:Handler", GOOD_CODE)
    install(tmp_path, "kg_wrong", "a_wrong = kg_wrong:value", "value = 5")
    monkeypatch.syspath_prepend(str(tmp_path))
    with caplog.at_level(logging.ERROR):
        registry.load_entry_points()
    assert set(registry) - {member.value for member in ActionType} == {"a_handler", "a_class", "an_instance"}
    assert registry.spec("a_handler").description == "Says hello."
    assert registry["get_relations"] is GetRelationsAction
    messages = [record.getMessage() for record in caplog.records]
    for package in ("kg_broken", "kg_absent", "kg_clash", "kg_wrong"):
        assert sum(f"package '{package}'" in message for message in messages) == 1
    assert len(messages) == 4
    registry.load_entry_points()
    assert len(caplog.records) == 4
    for package in ("kg_good", "kg_base", "kg_absent", "kg_clash", "kg_wrong"):
        sys.modules.pop(package, None)
