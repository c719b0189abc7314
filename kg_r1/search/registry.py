"""The one list of actions. Everything that needs to know which actions exist asks a registry."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from enum import Enum
from importlib.metadata import EntryPoint, entry_points

from kg_r1.search.errors import UnknownAction, listed, quoted
from kg_r1.search.handlers import ActionHandler, BaseAction
from kg_r1.search.specs import ActionSpec, spec_of

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "kg_r1.actions"
Action = type[ActionHandler] | BaseAction


class ActionRegistry(MutableMapping[str, Action]):
    """Actions by name, in the order in which they were added. A member of an enum stands for its value.

    Assigning to a name replaces its action; `register` refuses a name that is taken.

    Raises:
        TypeError: an action that is neither an `ActionHandler` class nor a `BaseAction` instance.
        ValueError: a name that cannot be written in call form.
    """

    def __init__(self, actions: Mapping[str, Action] | None = None) -> None:
        self._actions: dict[str, Action] = {}
        self._specs: dict[str, ActionSpec] = {}
        self._seen_entry_points: set[tuple[str, str]] = set()
        self.version = 0
        """How often an action was set or removed."""
        self.update(actions or {})

    def __getitem__(self, name: str) -> Action:
        return self._actions[_spelling(name)]

    def __setitem__(self, name: str, action: Action) -> None:
        spelling = _spelling(name)
        if not isinstance(spelling, str) or not spelling.isidentifier():
            raise ValueError(f"an action's name is letters, digits and underscores, not {spelling!r}")
        # Made once, here: an action whose fields cannot be told is refused now, not at every later request.
        self._specs[spelling] = spec_of(spelling, action)
        self._actions[spelling] = action
        self.version += 1

    def __delitem__(self, name: str) -> None:
        del self._actions[_spelling(name)]
        del self._specs[_spelling(name)]
        self.version += 1

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._actions))

    def __len__(self) -> int:
        return len(self._actions)

    def register(self, name: str, action: Action) -> None:
        """Adds an action under a name that is not taken yet.

        Raises:
            ValueError: the name is taken by another action, or cannot be written in call form.
            TypeError: `action` is not an action.
        """
        if self.get(name, action) is not action:
            raise ValueError(f"an action named {_spelling(name)!r} exists; assign to replace it")
        self[name] = action

    def spec(self, name: str) -> ActionSpec:
        """The spec of one action.

        Raises:
            UnknownAction: there is no action of this name.
        """
        spec = self._specs.get(_spelling(name))
        if spec is None:
            raise UnknownAction(f"there is no action {quoted(name)}", f"Actions: {listed(self)}")
        return spec

    def specs(self, names: Sequence[str] | None = None) -> list[ActionSpec]:
        """The specs of the actions named, in that order; of all actions when none are named.

        Raises:
            UnknownAction: there is no action of one of the names.
        """
        return [self.spec(name) for name in (self if names is None else names)]

    def load_entry_points(self) -> None:
        """Adds the actions that installed packages offer in the entry-point group `kg_r1.actions`.

        The entry point's name is the action's; its object is an `ActionHandler` subclass, a `BaseAction`
        instance, or a `BaseAction` subclass to be made without arguments. A package that cannot be loaded,
        or that offers a name that is taken, is logged as an error and left out. Repeated calls load only
        what is new.
        """
        for point in entry_points(group=ENTRY_POINT_GROUP):
            if (point.name, point.value) not in self._seen_entry_points:
                self._seen_entry_points.add((point.name, point.value))
                self._load(point)

    def _load(self, point: EntryPoint) -> None:
        package = point.dist.name if point.dist is not None else point.module
        try:
            action = point.load()
            if isinstance(action, type) and issubclass(action, BaseAction):
                action = action()
            self.register(point.name, action)
        except Exception:  # another package's code; it must not take the server down
            logger.exception("action %r of package %r cannot be loaded and is left out", point.name, package)


def _spelling(name: str) -> str:
    return name.value if isinstance(name, Enum) else name
