"""Who may ask: the bearer key, where it is read from, and which addresses need one.

In: a key file or the text of an environment variable, and the address the server listens at. Out: an
`ApiKey` that says whether an `Authorization` header carries it.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

KEY_VARIABLE = "KG_SERVER_API_KEY"
MAX_KEY_CHARS = 4096
_SCHEME = b"bearer "
_KEY = re.compile(r"[!-~]+")  # what an HTTP header carries unchanged: visible ASCII, no white space


class AccessError(ValueError):
    """A key that cannot be used, or an address that needs one; its text is one line that says what to do."""


class ApiKey:
    """A bearer key. Its text is in no message, log line or repr.

    Raises:
        AccessError: the key is empty, too long, or holds what no HTTP header carries.
    """

    def __init__(self, text: str, source: str = "the API key") -> None:
        if not text:
            raise AccessError(f"{source} is empty; put a key there, such as: openssl rand -hex 32")
        if len(text) > MAX_KEY_CHARS or not _KEY.fullmatch(text):
            raise AccessError(
                f"{source} must be one line of at most {MAX_KEY_CHARS} ASCII characters without spaces"
            )
        self._key = text.encode("ascii")

    def __repr__(self) -> str:
        return "ApiKey(...)"

    def header(self) -> str:
        """The value of an `Authorization` header that carries this key, for a client."""
        return f"Bearer {self._key.decode('ascii')}"

    def is_in(self, authorization: bytes) -> bool:
        """Whether the value of an `Authorization` header carries this key; every wrong key takes as long."""
        scheme, given = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
        return scheme.lower() == _SCHEME and hmac.compare_digest(given.strip(), self._key)


def read_key(key_file: Path | None, variable: str | None) -> ApiKey | None:
    """The key of a file, else the one of the environment variable, else None.

    Args:
        key_file: a file that holds the key alone; white space at its ends is not part of the key.
        variable: the value of the variable KG_SERVER_API_KEY; None when it is not set.

    Raises:
        AccessError: the file cannot be read, or the key cannot be used.
    """
    if key_file is None:
        return None if variable is None else ApiKey(variable.strip(), f"the variable {KEY_VARIABLE}")
    try:
        mode = key_file.stat().st_mode
        with key_file.open("rb") as file:
            content = file.read(MAX_KEY_CHARS + 64)
    except OSError as error:
        raise AccessError(f"--api_key_file {key_file} cannot be read ({error.strerror})") from error
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        logger.warning("others can read the key in %s; run: chmod 600 %s", key_file, key_file)
    # Latin-1 decodes every byte, so that a binary file fails the check of the key and not the decoding.
    return ApiKey(content.decode("latin-1").strip(), f"--api_key_file {key_file}")


def check_exposure(address: str, key: ApiKey | None, is_insecure: bool) -> None:
    """Makes sure that a server which others can reach has a key, unless its owner wants it open.

    Args:
        address: the IP address that the socket is bound to.
        key: the key that requests must carry; None when there is none.
        is_insecure: whether the owner said that no key is wanted.

    Raises:
        AccessError: other machines could reach the server, and nothing guards it.
    """
    is_loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if not is_loopback and key is None and not is_insecure:
        raise AccessError(
            f"other machines can reach {address}, and there is no key; give --api_key_file or the variable "
            f"{KEY_VARIABLE}, or --insecure to serve without one"
        )
