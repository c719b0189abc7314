"""A run that cannot start."""

from __future__ import annotations


class LaunchError(RuntimeError):
    """The run cannot start; the message is one line saying what to do."""

    code = "cannot_launch"
