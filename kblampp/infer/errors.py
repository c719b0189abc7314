"""What the service refuses beside the errors of `kblampp.errors`: one class, one code, one status each."""

from __future__ import annotations

from kblampp.errors import KblamppError


class ServiceError(KblamppError):
    """A request that is not answered."""

    code = "service_error"
    status = 422


class BadRequest(ServiceError):
    """A request that is malformed as a whole."""

    code = "bad_request"


class InvalidField(ServiceError):
    """A field of a question of the wrong type, or one that nobody reads."""

    code = "invalid_field"


class MissingField(ServiceError):
    """A field that must be there."""

    code = "missing_field"


class TooLarge(ServiceError):
    """More bytes or questions than the limits allow."""

    code = "too_large"
    status = 413


class UnknownStore(ServiceError):
    """No folder of that name below the root of the stores."""

    code = "unknown_store"
    status = 404


class SwapDisabled(ServiceError):
    """The server was started without a root of stores."""

    code = "swap_disabled"
    status = 403


class ServiceBusy(ServiceError):
    """As many questions wait as may."""

    code = "busy"
    status = 503


class ServiceClosed(ServiceError):
    """The service was told to stop."""

    code = "closed"
    status = 503


class AnswerFailed(ServiceError):
    """Something broke that is not the caller's fault."""

    code = "failed"
    status = 500
