"""Actions that are there for the asking: none is on offer until it is enabled by name.

In: a registry and names. Out: the registry with these actions in it; prompt, parser, request checks and
`/actions` follow the registry. How each command line enables them: docs/more_actions.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kg_r1.search.actions_paths import FindPathsAction
from kg_r1.search.actions_search import SearchEntitiesAction
from kg_r1.search.actions_time import GetFactsAtAction
from kg_r1.search.errors import UnknownAction, listed, quoted
from kg_r1.search.handlers import ActionHandler
from kg_r1.search.registry import ActionRegistry

OPTIONAL_ACTIONS: Mapping[str, type[ActionHandler]] = MappingProxyType(
    {
        "search_entities": SearchEntitiesAction,
        "find_paths": FindPathsAction,
        "get_facts_at": GetFactsAtAction,
    }
)


def enable(registry: ActionRegistry, names: Iterable[str]) -> None:
    """Adds to `registry` those of `names` that it lacks; what it has already, whoever brought it, stays.

    Raises:
        UnknownAction: a name is neither in the registry nor optional; nothing is added then.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in registry and name not in OPTIONAL_ACTIONS:
            known = listed([*registry, *(one for one in OPTIONAL_ACTIONS if one not in registry)])
            raise UnknownAction(f"there is no action {quoted(name)}", f"Actions, optional ones last: {known}")
    for name in wanted:
        if name not in registry:
            registry.register(name, OPTIONAL_ACTIONS[name])


def enable_listed(registry: ActionRegistry, names: str) -> None:
    """`enable` for names in one text, parted by commas, as a command line has them; '' names none.

    Raises:
        UnknownAction: as `enable`.
    """
    enable(registry, [name.strip() for name in names.split(",") if name.strip()])
