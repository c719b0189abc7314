"""What the rest of the system knows of an action: its fields, its arguments, a description, an example.

Prompt text, query parser, request validation and `/actions` all derive from an `ActionSpec`, and it in turn
from the action itself: the signature of `ActionHandler.execute` or `BaseAction.get_required_fields`.
"""

from __future__ import annotations

import collections.abc
import inspect
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from kg_r1.search.handlers import ActionHandler, BaseAction

ROW_FIELDS = ("sample_id", "dataset_name")  # they come from the data row, never from the model
STANDARD_HELP: Mapping[str, str] = {
    "entity_id": "the name of an entity",
    "relation": "the exact name of a relation",
    "concept": "a word to look for in the names of relations",
}
STANDARD_VALUES: Mapping[str, str] = {"entity_id": "France", "relation": "capital", "concept": "language"}
EntityForm = Literal["name", "list", "handle"]
"""What may stand for entities in a call: one name; or a list of names too; or an earlier result as well."""

HANDLE_HELP = (
    ', or "#1" for all that is listed as #1, or "#1 except NAME" or "#2 except #1" for all of it but that'
)

LIST_TYPES = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)


@dataclass(frozen=True)
class ArgumentSpec:
    """One argument that a model gives in a call.

    Attributes:
        name: the request field.
        required: whether a call without it is refused.
        many: whether a list of values may stand for one.
        help: one line for the prompt.
        takes_handle: whether the handle of an earlier result, such as "#1", may stand for all its items.
    """

    name: str
    required: bool
    many: bool
    help: str
    takes_handle: bool = False


@dataclass(frozen=True)
class ActionSpec:
    """One action as the prompt, the parser, the validation and `/actions` see it.

    Attributes:
        name: the action's one spelling.
        arguments: what a model gives, in call order; sample_id and dataset_name are not among them.
        required_fields: the fields a request to the server must have.
        description: one line.
        example: a call in call form, such as get_tail_entities("France", "capital").
    """

    name: str
    arguments: tuple[ArgumentSpec, ...]
    required_fields: tuple[str, ...]
    description: str
    example: str


def argument_help(argument: ArgumentSpec) -> str:
    """What an argument is and what may be given for it, in one line for a model."""
    lists = ", or a list of them" if argument.many else ""
    return argument.help + lists + (HANDLE_HELP if argument.takes_handle else "")


def spec_of(name: str, action: type[ActionHandler] | BaseAction) -> ActionSpec:
    """The spec of an action registered under `name`.

    Raises:
        TypeError: the action is neither kind, is abstract, or names its fields as anything but texts.
    """
    if isinstance(action, BaseAction):
        required = action.get_required_fields()
        if isinstance(required, str) or not all(isinstance(field, str) for field in required):
            raise TypeError(f"{name}: get_required_fields must give a list of field names, not {required!r}")
        arguments = tuple(
            ArgumentSpec(field, True, False, _help(field, action.argument_help))
            for field in required
            if field not in ROW_FIELDS
        )
        owner: type = type(action)
    elif isinstance(action, type) and issubclass(action, ActionHandler):
        if inspect.isabstract(action):
            raise TypeError(f"{name}: {action.__name__} does not implement execute")
        parameters = execute_parameters(action)
        required = [one.name for one in parameters if one.default is inspect.Parameter.empty]
        arguments = tuple(_argument(action, one) for one in parameters if one.name not in ROW_FIELDS)
        owner = action
    else:
        raise TypeError(
            f"{name}: {action!r} is neither a subclass of ActionHandler nor an instance of BaseAction"
        )
    return ActionSpec(
        name=name,
        arguments=arguments,
        required_fields=tuple(required),
        description=_description(name, owner),
        example=action.example or _example(name, arguments),
    )


def with_entity_form(specs: Sequence[ActionSpec], form: EntityForm) -> list[ActionSpec]:
    """The specs as a profile offers them: arguments that take lists take them, and handles, as `form` says.

    Raises ValueError for a form that is none.
    """
    if form not in get_args(EntityForm):
        raise ValueError(f"entity_form must be one of {', '.join(get_args(EntityForm))}, not {form!r}")
    return [
        replace(spec, arguments=tuple(_in_form(argument, form) for argument in spec.arguments))
        for spec in specs
    ]


def _in_form(argument: ArgumentSpec, form: EntityForm) -> ArgumentSpec:
    return replace(
        argument,
        many=argument.many and form != "name",
        takes_handle=argument.many and form == "handle",
    )


def execute_parameters(action: type[ActionHandler]) -> list[inspect.Parameter]:
    """The named parameters of an action's `execute`, in order, without self, *args and **kwargs."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(action.execute).parameters.values())[1:]
    return [one for one in parameters if one.kind in named]


def takes_any_field(action: type[ActionHandler]) -> bool:
    """Whether `execute` has **kwargs, so that fields without a parameter may be handed on."""
    parameters = inspect.signature(action.execute).parameters.values()
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)


def _argument(action: type[ActionHandler], parameter: inspect.Parameter) -> ArgumentSpec:
    return ArgumentSpec(
        name=parameter.name,
        required=parameter.default is inspect.Parameter.empty,
        many=_admits_list(_type_hints(action).get(parameter.name)),
        help=_help(parameter.name, action.argument_help),
    )


def _type_hints(action: type[ActionHandler]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(action.execute)
    except (NameError, TypeError, AttributeError):
        # Annotations may name what is imported for type checking only; then nothing is known of them.
        return {}


def _admits_list(hint: object) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(map(_admits_list, typing.get_args(hint)))
    return origin in LIST_TYPES or hint in LIST_TYPES


def _help(field: str, own: Mapping[str, str]) -> str:
    return own.get(field) or STANDARD_HELP.get(field) or field.replace("_", " ")


def _description(name: str, owner: type) -> str:
    # Not inspect.getdoc: an action without a docstring would inherit the text of its base.
    lines = (owner.__doc__ or "").strip().splitlines()
    return lines[0].strip() if lines else name.replace("_", " ").capitalize() + "."


def _example(name: str, arguments: tuple[ArgumentSpec, ...]) -> str:
    values = (STANDARD_VALUES.get(one.name, one.name) for one in arguments if one.required)
    return f"{name}({', '.join(json.dumps(value) for value in values)})"
