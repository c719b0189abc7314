"""The failures of a search: one class and one code each. The tree:

    KGError                    action_failed when raised as it is
    ├─ DataError               data_error
    │  ├─ EndpointUnavailable  endpoint_unavailable
    │  └─ TooManyResults       too_many_results
    ├─ UnknownDataset          unknown_dataset
    ├─ UnknownSample           unknown_sample
    ├─ UnknownAction           unknown_action
    ├─ MissingField            missing_field
    ├─ InvalidField            invalid_field
    ├─ UnknownEntity           unknown_entity
    ├─ UnknownRelation         unknown_relation
    ├─ NoResults               no_results
    ├─ BoundReached            bound_reached
    ├─ TooManyNames            too_many_names
    ├─ ReplyTooLarge           reply_too_large
    ├─ ActionFailed            action_failed
    ├─ ServerUnavailable       server_unavailable   (client only)
    ├─ ServerTimeout           server_timeout       (client only)
    └─ BadResponse             bad_response         (client only)

Actions raise them; `kg_r1.search.server` is the one place that turns them into JSON.
"""

from __future__ import annotations

from kg_r1.kg.errors import (
    DataError,
    EndpointUnavailable,
    KGError,
    TooManyResults,
    UnknownDataset,
    UnknownSample,
    listed,
    one_line,
    quoted,
)
from kg_r1.kg.name_search import TooManyNames
from kg_r1.kg.path_search import BoundReached

__all__ = [
    "CODES",
    "ActionFailed",
    "BadResponse",
    "BoundReached",
    "DataError",
    "EndpointUnavailable",
    "InvalidField",
    "KGError",
    "MissingField",
    "NoResults",
    "ReplyTooLarge",
    "ServerTimeout",
    "ServerUnavailable",
    "TooManyNames",
    "TooManyResults",
    "UnknownAction",
    "UnknownDataset",
    "UnknownEntity",
    "UnknownRelation",
    "UnknownSample",
    "listed",
    "one_line",
    "quoted",
]


class UnknownAction(KGError):
    """The registry has no action of this name."""

    code = "unknown_action"


class MissingField(KGError):
    """A request lacks a field that its action needs."""

    code = "missing_field"


class InvalidField(KGError):
    """A request, or a field of it, is of the wrong type or shape."""

    code = "invalid_field"


class UnknownEntity(KGError):
    """No entity of the graph is meant by the text given."""

    code = "unknown_entity"


class UnknownRelation(KGError):
    """No triple of the graph has the relation given."""

    code = "unknown_relation"


class NoResults(KGError):
    """Entity and relation exist, but nothing stands at the other end."""

    code = "no_results"


class ReplyTooLarge(KGError):
    """The answer to one request is larger than the server sends."""

    code = "reply_too_large"


class ActionFailed(KGError):
    """An action broke, or answered with something that is no result."""

    code = "action_failed"


class ServerUnavailable(KGError):
    """Nothing answers at the server's address."""

    code = "server_unavailable"


class ServerTimeout(KGError):
    """The server did not answer in time."""

    code = "server_timeout"


class BadResponse(KGError):
    """The server answered with something that is not the documented reply."""

    code = "bad_response"


CODES: tuple[str, ...] = (
    UnknownAction.code,
    MissingField.code,
    InvalidField.code,
    UnknownDataset.code,
    UnknownSample.code,
    UnknownEntity.code,
    UnknownRelation.code,
    NoResults.code,
    BoundReached.code,
    TooManyNames.code,
    ReplyTooLarge.code,
    ActionFailed.code,
    ServerUnavailable.code,
    ServerTimeout.code,
    BadResponse.code,
    DataError.code,
    EndpointUnavailable.code,
    TooManyResults.code,
)
