"""What alignment refuses: one class and one code each, and the way out in the message."""

from __future__ import annotations


class AlignError(ValueError):
    """An alignment that cannot go on."""

    code = "align_error"


class DatasetError(AlignError):
    """A data set that is missing, or a line of it that is none; names file and line."""

    code = "dataset_error"


class ProviderError(AlignError):
    """A server that does not answer, or answers with something else than vectors."""

    code = "provider_error"


class NotCached(AlignError):
    """A text whose teacher vector is not in the cache."""

    code = "not_cached"
