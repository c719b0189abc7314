"""Why `--check` refuses a configuration."""

from __future__ import annotations


class MemoryCheckError(ValueError):
    """The memory of a configuration cannot be computed, or there is too little; one line says what to do."""

    code = "memory_check"


class UnknownModelError(MemoryCheckError):
    """A model whose architecture is neither on disk nor in the table."""

    code = "unknown_model"


class DoesNotFitError(MemoryCheckError):
    """A phase needs more than the device has."""

    code = "does_not_fit"
