"""The page as a file: what goes in, what is refused, and that nothing in it can break out of its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kg_r1 import cli
from kg_r1.eval import html_report
from kg_r1.eval.html_report import ReportError, embedded_json, write_episode_explorer, write_html_report
from kg_r1.eval.page_episodes import MAX_LISTED, common_prefix
from kg_r1.eval.page_summary import EpisodeFacts, histograms
from tests.eval.page_samples import (
    HOSTILE,
    answer,
    episode,
    search,
    two_hops,
    write_evaluation,
    write_lines,
)


def data_of(page: Path) -> dict[str, Any]:
    match = re.search(
        r'<script type="application/json" id="data">(.*?)</script>',
        page.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert match
    return dict(json.loads(match[1]))


def test_embedded_json_ends_no_script_and_reads_back() -> None:
    value = {"name": HOSTILE, "lines": "a\u2028b\u2029c", "comment": "<!--", "slot": "{{script}}"}
    text = embedded_json(value)
    assert not set("<\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_hostile_text_stays_inside_the_data(tmp_path: Path) -> None:
    record = two_hops(system="model", question=HOSTILE, topic_entities=["{{script}}"])
    page = write_html_report(write_evaluation(tmp_path, [record]))
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert "<img" not in text
    assert data_of(page)["questions"][0]["question"] == HOSTILE
    assert data_of(page)["questions"][0]["topic_entities"] == ["{{script}}"]


def test_half_a_surrogate_pair_does_not_stop_the_page(tmp_path: Path) -> None:
    page = write_episode_explorer(
        [write_lines(tmp_path / "log.jsonl", [two_hops(step=1, question="\ud800")])], tmp_path / "page.html"
    )
    assert data_of(page)["questions"][0]["question"] == "?"


def test_the_policy_names_the_script_and_allows_no_request(tmp_path: Path) -> None:
    text = write_html_report(write_evaluation(tmp_path, [two_hops()])).read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src &#x27;none&#x27;; style-src &#x27;sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_what_episodes_share_stands_once(tmp_path: Path) -> None:
    records = [two_hops(system=system, sample=k) for system in ("model", "bm25") for k in range(3)]
    data = data_of(write_html_report(write_evaluation(tmp_path, records)))
    assert len(data["episodes"]) == 6
    assert len({row["id"] for row in data["episodes"]}) == 6
    assert (len(data["questions"]), data["lists"]) == (1, [["France"], ["Paris"]])
    assert data["groups"][0]["prompt_prefix"].startswith("system\nSearch")
    assert data["episodes"][0]["answers"] == [["Paris", True]]


def test_a_page_that_is_full_says_what_it_left_out(tmp_path: Path) -> None:
    records = [two_hops(system="model", question_id=f"q{index}") for index in range(40)]
    records += [two_hops(system="bm25", question_id=f"q{index}") for index in range(3)]
    data = data_of(write_html_report(write_evaluation(tmp_path, records), max_bytes=9000))
    shown = {group["name"]: (group["num_shown"], group["num_episodes"]) for group in data["groups"]}
    assert 3 < shown["model"][0] < 40
    assert shown == {"model": (shown["model"][0], 40), "bm25": (3, 3), "oracle": (0, 0)}
    assert len(data["episodes"]) == shown["model"][0] + 3
    assert sum(data["histograms"]["turns"]["counts"]["model"]) == 40


def test_a_long_listing_keeps_gold_and_its_true_size(tmp_path: Path) -> None:
    items = [f"city {index}" for index in range(2 * MAX_LISTED)] + ["City of Light"]
    turns = [search("get_head_entities", items, entity_id="France", relation="country"), answer("Lyon")]
    log = write_lines(tmp_path / "log.jsonl", [episode(turns, is_right=False)])
    data = data_of(write_episode_explorer([log], tmp_path / "page.html"))
    turn = data["episodes"][0]["turns"][0]
    assert turn["num_items"] == len(items)
    assert data["lists"][0] == [*items[:MAX_LISTED], "City of Light"]
    assert turn["gold"] == [MAX_LISTED]


def test_logs_of_steps_become_groups(tmp_path: Path) -> None:
    logs = [write_lines(tmp_path / f"{step}.jsonl", [two_hops(step=step)]) for step in (0, 24)]
    data = data_of(write_episode_explorer(logs, tmp_path / "page.html"))
    assert [group["name"] for group in data["groups"]] == ["step 0", "step 24"]
    assert data["report"] is None
    again = write_lines(tmp_path / "again.jsonl", [two_hops(step=24)])
    names = [
        g["name"] for g in data_of(write_episode_explorer([*logs, again], tmp_path / "p.html"))["groups"]
    ]
    assert names == ["step 0", f"step 24 of {logs[1]}", f"step 24 of {again}"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "log.jsonl:2: "),
        ("[]", "the episode must be an object, not list"),
        ("{}", "has no field 'question'"),
        (json.dumps({**two_hops(), "reward": {}}), "the reward has no field 'total'"),
        (json.dumps({**two_hops(), "question": {}}), "a question needs the field"),
        (json.dumps({**two_hops(), "metrics": {"em": float("nan")}}), "NaN is not JSON"),
        (json.dumps({**two_hops(), "turns": [{}]}), "a turn has no field 'kind'"),
        (json.dumps({**two_hops(), "num_generated_tokens": "9"}), "must be int, not str"),
        (json.dumps({**two_hops(), "turns": [{**answer("a"), "kg_seconds": "9"}]}), "must be float, not str"),
    ],
)
def test_a_broken_line_is_named_in_one_line(tmp_path: Path, line: str, words: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(two_hops()) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ReportError, match=re.escape(words)) as caught:
        write_episode_explorer([log], tmp_path / "page.html")
    assert "\n" not in str(caught.value)
    assert str(log) in str(caught.value)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("name", ["report.json", "episodes.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write_evaluation(tmp_path, [two_hops()]) / name).unlink()
    with pytest.raises(ReportError, match=f"{name} cannot be read"):
        write_html_report(tmp_path)


def test_a_report_without_what_the_page_needs_is_refused(tmp_path: Path) -> None:
    write_evaluation(tmp_path, [two_hops()])
    (tmp_path / "report.json").write_text('{"model": "m", "systems": [{"name": "x"}]}', encoding="utf-8")
    with pytest.raises(ReportError, match="a system has no field 'kind'"):
        write_html_report(tmp_path)


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="there is no episode in"):
        write_episode_explorer([write_lines(tmp_path / "log.jsonl", [])], tmp_path / "page.html")


def test_a_write_that_fails_leaves_the_page_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = write_html_report(write_evaluation(tmp_path, [two_hops()]))
    before = page.read_bytes()
    names = sorted(path.name for path in tmp_path.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kg_r1.data.files.os.fsync", full)
    with pytest.raises(ReportError, match="cannot be written: No space left"):
        write_html_report(tmp_path)
    assert page.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_the_prefix_of_prompts_ends_with_a_line() -> None:
    assert common_prefix(["a\nQ: one\n", "a\nQ: other\n"]) == "a\n"
    assert common_prefix(["a\nb\n"]) == "a\nb\n"
    assert common_prefix(["one", "two"]) == common_prefix(["", "two"]) == ""


def test_histograms_have_few_round_bins() -> None:
    facts = [EpisodeFacts.of(two_hops(num_generated_tokens=number), "model") for number in (0, 49, 50, 999)]
    tokens = histograms(facts)["tokens"]
    assert tokens["width"] == 50
    assert tokens["counts"]["model"] == [2, 1, *[0] * 17, 1]


def test_every_page_file_is_short() -> None:
    for path in (Path(html_report.__file__).parent / "page").iterdir():
        assert path.read_text(encoding="utf-8").count("\n") < 400


def test_the_command_writes_a_page_or_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_lines(tmp_path / "log.jsonl", [two_hops(step=3)])
    out = tmp_path / "page.html"
    assert cli.main(["explore", str(log), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert cli.main(["explore", str(tmp_path / "none.jsonl"), "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("kg-r1 explore: ")
    assert message.count("\n") == 1
