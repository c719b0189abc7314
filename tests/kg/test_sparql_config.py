"""Settings of an endpoint: what is read, what is refused, and that the examples are such settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kg_r1.kg.errors import DataError
from kg_r1.kg.sparql_config import SparqlSettings, read_settings

ROOT = Path(__file__).resolve().parents[2]
ENDPOINT = "http://127.0.0.1:7878/query"
EXAMPLES = sorted((ROOT / "examples" / "sparql").glob("*/sparql.json"))


def written(folder: Path, content: Any) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "sparql.json").write_text(text, encoding="utf-8")
    return folder


def test_an_endpoint_is_enough(tmp_path: Path) -> None:
    settings, headers = read_settings(written(tmp_path, {"endpoint": ENDPOINT}))
    assert settings == SparqlSettings(endpoint=ENDPOINT)
    assert headers == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ["not JSON"]),
        ([], ["not an object"]),
        ({}, ["'endpoint'", "required"]),
        ({"endpoint": ENDPOINT, "endpiont": 1}, ["no key 'endpiont'", "Keys: endpoint, method"]),
        (
            {"endpoint": ENDPOINT, "entities": {"prefx": "x"}},
            ["no key 'entities.prefx'", "Keys: prefix, escape, within"],
        ),
        ({"endpoint": ENDPOINT, "relations": {"x": 1}}, ["no key 'relations.x'", "leave_out"]),
        ({"endpoint": ENDPOINT, "labels": {"language": "en"}}, ["'labels.language'", "languages"]),
        ({"endpoint": "localhost:7878"}, ["'endpoint'", "http address"]),
        ({"endpoint": "http://user:secret@host/"}, ["'endpoint'", "headers_file"]),
        ({"endpoint": ENDPOINT, "graph": "not an iri"}, ["'graph'"]),
        ({"endpoint": ENDPOINT, "entities": {"prefix": "http://a b/"}}, ["'entities.prefix'"]),
        ({"endpoint": ENDPOINT, "method": "PUT"}, ["'method'", "GET", "POST"]),
        ({"endpoint": ENDPOINT, "timeout_s": 0}, ["'timeout_s'", "greater than 0"]),
        ({"endpoint": ENDPOINT, "timeout_s": "5"}, ["'timeout_s'", "number"]),
        ({"endpoint": ENDPOINT, "max_rows": 1.5}, ["'max_rows'", "integer"]),
        ({"endpoint": ENDPOINT, "max_rows": True}, ["'max_rows'", "integer"]),
        ({"endpoint": ENDPOINT, "labels": {"languages": []}}, ["'labels.languages'"]),
        ({"endpoint": ENDPOINT, "labels": {"languages": ["e n"]}}, ["'labels.languages.0'", "tag"]),
        ({"endpoint": ENDPOINT, "case_folding": "all"}, ["'case_folding'", "variants"]),
        ({"endpoint": ENDPOINT, "headers_file": "none.json"}, ["none.json", "cannot be read"]),
    ],
)
def test_a_mistake_is_a_line_that_names_the_key(tmp_path: Path, content: Any, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        read_settings(written(tmp_path, content))
    message = str(caught.value)
    assert "sparql.json" in message or "none.json" in message
    assert all(word in message for word in words), message
    assert "secret" not in message


def test_headers_come_from_a_file_and_never_into_a_message(tmp_path: Path) -> None:
    written(tmp_path, {"endpoint": ENDPOINT, "headers_file": "headers.json"})
    path = tmp_path / "headers.json"
    path.write_text('{"Authorization": "Bearer hidden"}')
    assert read_settings(tmp_path)[1] == {"Authorization": "Bearer hidden"}
    for content in (
        '{"Authorization": "hidden\\r\\nX: y"}',
        '{"Bad: name": "hidden"}',
        '["hidden"]',
        '{"A": 1}',
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=r"headers\.json") as caught:
            read_settings(tmp_path)
        assert "hidden" not in str(caught.value)


def test_there_are_examples() -> None:
    assert {path.parent.name for path in EXAMPLES} == {"oxigraph", "qlever", "virtuoso", "wikidata"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_can_be_read(path: Path) -> None:
    settings, _ = read_settings(path.parent)
    assert settings.endpoint.startswith("http")


def test_every_key_is_in_the_page() -> None:
    page = (ROOT / "docs" / "sparql.md").read_text(encoding="utf-8")
    for name, field in SparqlSettings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {})
        for key in [f"{name}.{one}" for one in inner] or [name]:
            assert f"`{key}`" in page, f"docs/sparql.md says nothing of {key}"
