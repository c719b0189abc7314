"""What kblampp's command lines share: their log, and one line for a user's mistake."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from kblampp.config import parse_flags
from kblampp.encoders.errors import EncoderError
from kblampp.errors import ConfigError, KblamppError


def run(
    parser: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None,
    *,
    log_level: int = logging.INFO,
) -> int:
    """Parses the arguments and runs `body`.

    Returns:
        What `body` does, or 0; 2 for a user's mistake, told in one line on stderr with its code.
    """
    arguments = parse_flags(parser, argv)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=log_level, stream=sys.stderr, format=form)
    try:
        return body(arguments) or 0
    except (KblamppError, EncoderError) as error:
        return _refused(error.code, str(error))
    except OSError as error:
        return _refused("file", f"{error.filename or '?'}: {error.strerror or error}")


def require_positive(arguments: argparse.Namespace, *names: str) -> None:
    """Raises ConfigError for an option that was given and is less than 1."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, not {value}")


def _refused(code: str, message: str) -> int:
    sys.stderr.write(f"error [{code}]: {' '.join(message.split())}\n")
    return 2
