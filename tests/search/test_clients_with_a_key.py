"""Everything that asks a server can send it the key that it wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kg_r1.cli import main as kg_r1
from kg_r1.data.rows import write_questions
from kg_r1.eval.options import parser as eval_parser
from kg_r1.llm_agent.question import Question
from kg_r1.search.access import read_key
from kg_r1.search.client import HttpKGClient
from kg_r1.search.errors import BadResponse
from kg_r1.search.offers import offer_of
from tests.search.conftest import ServerProcess

REQUEST = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "Spain",
    "relation": "capital",
}
SCRIPT = """<think>t</think><search>get_tail_entities("Spain", "capital")</search>
<think>t</think><answer>Madrid</answer>
"""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("a-key-for-tests")
    path.chmod(0o600)
    return path


@pytest.fixture
def search_url(base: Path, key_file: Path, start_server: Callable[..., ServerProcess]) -> str:
    return start_server("--base_data_path", base, "--api_key_file", key_file).address + "/retrieve"


async def test_the_client_and_the_tools(search_url: str, key_file: Path) -> None:
    key = read_key(key_file, None)
    for sent, is_answered in ((key, True), (None, False)):
        client = HttpKGClient(search_url, api_key=sent, max_retries=0)
        answer = await client.retrieve(REQUEST)
        assert answer.ok is is_answered
        assert answer.items() == (["Madrid"] if is_answered else [])
        await client.aclose()
    assert answer.error is not None and "401" in answer.error.message
    assert offer_of(search_url, key).datasets == ("webqsp", "world")
    with pytest.raises(BadResponse, match=r"does not list the server's datasets \(status 401, .*key"):
        offer_of(search_url)


def test_an_episode(
    search_url: str, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions, script = tmp_path / "questions.parquet", tmp_path / "script.txt"
    write_questions(questions, [Question("q", "Capital of Spain?", ("Spain",), (("Madrid",),), "world")])
    script.write_text(SCRIPT)
    told = ["episode", "--questions", str(questions), "--search_url", search_url, "--script", str(script)]
    assert kg_r1([*told, "--api_key_file", str(key_file)]) == 0
    assert "<information>Madrid" in capsys.readouterr().out.replace("#2: ", "")
    assert kg_r1([*told, "--api_key_file", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_training_and_evaluation_read_it_from_a_file(key_file: Path) -> None:
    pytest.importorskip("omegaconf")
    from verl_ext.settings import SearchSettings

    client = SearchSettings(api_key_file=str(key_file)).http_client()
    assert client._headers["Authorization"] == "Bearer a-key-for-tests"
    assert "Authorization" not in SearchSettings().http_client()._headers
    with pytest.raises(ValueError, match="cannot be read"):
        SearchSettings(api_key_file="/no/such/file").http_client()
    given = ["--model", "m", "--questions", "q", "--out", "o", "--api-key-file", str(key_file)]
    assert eval_parser().parse_args(given).api_key_file == key_file
