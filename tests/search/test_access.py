"""Who is let in: keys, where they are read from, and which addresses need one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from kg_r1.search.access import AccessError, ApiKey, check_exposure, read_key
from kg_r1.search.kg_retrieval_server import main
from kg_r1.search.retriever import KnowledgeGraphRetriever
from kg_r1.search.server import create_app
from tests.search.conftest import ServerProcess

KEY = "s3cret-Key.~"


@pytest.mark.parametrize(
    ("header", "is_let_in"),
    [
        (f"Bearer {KEY}", True),
        (f"bearer {KEY}", True),
        (f"BEARER  {KEY} ", True),
        ("", False),
        (KEY, False),
        ("Bearer ", False),
        (f"Bearer {KEY}x", False),
        (f"Bearer {KEY[:-1]}", False),
        (f"Bearer {KEY.upper()}", False),
        (f"Basic {KEY}", False),
        (f"Bearer {KEY}, Bearer {KEY}", False),
        ("Bearer schlüssel", False),
    ],
)
def test_which_headers_carry_the_key(header: str, is_let_in: bool) -> None:
    assert ApiKey(KEY).is_in(header.encode("latin-1")) is is_let_in


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(ApiKey(KEY))


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "schlüssel", "x" * 5000, "a\x00b"])
def test_keys_that_cannot_be_used(text: str) -> None:
    with pytest.raises(AccessError) as error:
        ApiKey(text, "the file")
    assert str(error.value).startswith("the file ")
    assert "\n" not in str(error.value)
    assert not text or text not in str(error.value)


def test_where_the_key_is_read_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_key(None, None) is None
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    with caplog.at_level(logging.WARNING):
        for key in (read_key(path, None), read_key(path, "another"), read_key(None, KEY)):
            assert key is not None and key.is_in(f"Bearer {KEY}".encode())
        assert caplog.text == ""
        path.chmod(0o640)
        assert read_key(path, None) is not None
    assert f"others can read the key in {path}" in caplog.text
    assert KEY not in caplog.text
    for bad in (tmp_path / "absent", tmp_path):
        with pytest.raises(AccessError, match="cannot be read"):
            read_key(bad, KEY)
    for variable in ("", "  "):
        with pytest.raises(AccessError, match="the variable KG_SERVER_API_KEY is empty"):
            read_key(None, variable)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(AccessError, match="ASCII"):
        read_key(path, None)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_needs_no_key(address: str) -> None:
    check_exposure(address, None, False)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7", "fe80::1%eth0", "2001:db8::1"])
def test_other_addresses_need_a_key_or_a_word(address: str) -> None:
    with pytest.raises(AccessError, match="--api_key_file"):
        check_exposure(address, None, False)
    check_exposure(address, ApiKey(KEY), False)
    check_exposure(address, None, True)


async def test_every_endpoint_but_health_wants_the_key(retriever: KnowledgeGraphRetriever) -> None:
    transport = httpx.ASGITransport(create_app(retriever, key=ApiKey(KEY)))
    async with httpx.AsyncClient(transport=transport, base_url="http://kg") as http:
        assert (await http.get("/health")).status_code == 200
        schema = (await http.get("/openapi.json", headers={"Authorization": f"Bearer {KEY}"})).json()
        operations = [(method, path) for path, methods in schema["paths"].items() for method in methods]
        assert ("post", "/retrieve") in operations and ("get", "/metrics") in operations
        for method, path in [*operations, ("get", "/docs"), ("get", "/openapi.json"), ("get", "/nowhere")]:
            if path == "/health":
                continue
            refused = await http.request(method, path, content=b"[]")
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert set(refused.json()) == {"error", "code"}
            assert refused.json()["code"] == "unauthorized"
            headers = {"Authorization": f"Bearer {KEY}"}
            response = await http.request(method, path, content=b"[]", headers=headers)
            assert response.status_code == (404 if path == "/nowhere" else 200)
            if (method, path) in operations:
                assert "security" in schema["paths"][path][method]


def test_an_open_address_is_refused_in_one_line(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KG_SERVER_API_KEY", raising=False)
    assert main(["--base_data_path", str(base), "--host", "0.0.0.0", "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "other machines can reach 0.0.0.0, and there is no key" in error


def test_a_server_with_a_key(base: Path, tmp_path: Path, start_server: Callable[..., ServerProcess]) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o644)
    data = ("--base_data_path", base)
    server = start_server(*data, "--host", "0.0.0.0", "--api_key_file", path)
    assert any("others can read the key" in line for line in server.lines)
    address = server.address.replace("0.0.0.0", "127.0.0.1")
    assert httpx.get(f"{address}/health").status_code == 200
    assert httpx.get(f"{address}/actions").status_code == 401
    headers = {"Authorization": f"Bearer {KEY}"}
    assert httpx.get(f"{address}/actions", headers=headers).status_code == 200
    from_variable = start_server(*data, env={"KG_SERVER_API_KEY": KEY})
    assert httpx.post(f"{from_variable.address}/retrieve", json=[]).status_code == 401
    assert httpx.post(f"{from_variable.address}/retrieve", json=[], headers=headers).json() == []


def test_an_open_server_that_is_meant(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--base_data_path", base, "--host", "0.0.0.0", "--insecure")
    assert httpx.get(server.address.replace("0.0.0.0", "127.0.0.1") + "/actions").status_code == 200
