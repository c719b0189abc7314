"""Pages of one file: style, script and data are inside, and nothing else may be loaded.

Facts, questions and answers are hostile until shown otherwise: they go into a page as JSON alone, with
nothing in it that could end its script element, and the page's script makes text nodes of them. The policy
allows the one style and the one script that stand in the page, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

_SLOT = re.compile(r"\{\{(\w+)\}\}")
_SHARED = ("dom", "draw")


def self_contained(package: str, name: str, *, title: str, data: Any = None, connects: bool = False) -> str:
    """The page `name`.html of a package's folder `page`, with style, script and data.

    Args:
        package: such as kblampp.infer.
        name: of the .html and the .js; what all pages share stands before that script.
        title: text, not markup.
        data: what JSON can hold, NaN excepted.
        connects: whether its script may ask the server that it came from.
    """
    source = files(package) / "page"
    shared = files("kblampp.eval") / "page"
    style = (shared / "page.css").read_text(encoding="utf-8")
    scripts = [(shared / f"{part}.js").read_text(encoding="utf-8") for part in _SHARED]
    scripts.append((source / f"{name}.js").read_text(encoding="utf-8"))
    script = _in_one_scope(scripts)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        f"connect-src {_connect(connects)}; base-uri 'none'; form-action 'none'"
    )
    slots = {
        "policy": html.escape(policy),
        "title": html.escape(title),
        "style": style,
        "script": script,
        "data": embedded_json(data),
    }
    template = (source / f"{name}.html").read_text(encoding="utf-8")
    # One pass: a slot's name inside the data stays what it is.
    return _SLOT.sub(lambda match: slots[match[1]], template)


def embedded_json(value: Any) -> str:
    """JSON in ASCII that can stand inside a script element: there is no `<` in it."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _connect(connects: bool) -> str:
    return "'self'" if connects else "'none'"


def _in_one_scope(scripts: Sequence[str]) -> str:
    return '"use strict";\n(() => {\n' + "\n".join(scripts) + "\n})();\n"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
