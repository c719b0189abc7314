"""What zero-shot node classification refuses: one class and one code each, the way out in the message."""

from __future__ import annotations


class ZeroGError(ValueError):
    """A failure of this package; `str()` is one line."""

    code = "zerog_error"

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class FileError(ZeroGError):
    """A file that cannot be read, with its path and, where there is one, its line."""

    code = "file_error"


class GraphError(ZeroGError):
    """A graph whose parts do not fit one another, with the part's name."""

    code = "graph_error"


class LabelLeak(GraphError):
    """The text of a node says which label it has."""

    code = "label_leak"


class OptionError(ZeroGError):
    """An option with a value that cannot be used."""

    code = "bad_option"


class CheckpointError(ZeroGError):
    """A folder that holds no checkpoint, or one that does not fit what it is used for."""

    code = "checkpoint_error"
