"""The page in a real browser, from a file and without a network. Skipped where there is no Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg_r1.eval.html_report import write_episode_explorer, write_html_report
from tests.browser import Browser, chromium
from tests.eval.page_samples import HOSTILE, answer, episode, search, two_hops, write_evaluation, write_lines


class Explorer(Browser):
    """The episode explorer opened."""

    def open_page(self, page: Path, fragment: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(page.as_uri() + fragment)

    def arrows(self) -> list[tuple[str, str]]:
        script = (
            "return [...document.querySelectorAll('#episode .graph .edge[data-from]')]"
            ".map((one) => [one.dataset.from, one.dataset.to])"
        )
        return [(one, other) for one, other in self.run(script)]

    def nodes(self, selector: str = "") -> list[str]:
        script = (
            "return [...document.querySelectorAll(`#episode .node${arguments[0]}[data-label]`)]"
            ".map((one) => one.dataset.label)"
        )
        return list(self.run(script, selector))

    def filter(self, identifier: str, value: str) -> None:
        self.set(f"#filter-{identifier}", value)

    def count(self) -> str:
        return self.texts("#count")[0]

    def press(self, key: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(key).perform()

    def chosen(self) -> str:
        return self.texts("#episode h3")[0]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    with chromium(tmp_path_factory.mktemp("profile"), Explorer, "--window-size=1500,1000") as started:
        yield started


def explore(browser: Explorer, folder: Path, *records: dict[str, Any]) -> None:
    log = write_lines(folder / "log.jsonl", records)
    browser.open_page(write_episode_explorer([log], folder / "page.html"))


def test_filters_order_and_keys(browser: Explorer, tmp_path: Path) -> None:
    records = [two_hops(system="model", question_id=f"q{k}", question=f"question {k}") for k in range(150)]
    wrong = episode([answer("Berlin")], is_right=False, system="bm25", question="last", num_hops=1, path=[])
    page = write_html_report(write_evaluation(tmp_path, [*records, {**wrong, "status": "max_tokens"}]))
    browser.open_page(page)
    assert browser.count() == "151 of 151 episodes"
    assert len(browser.texts("#list tbody tr")) == 100
    for identifier, value, count in [
        ("group", "model", 150), ("group", "bm25", 1), ("status", "max_tokens", 1), ("hops", "2-hop", 150),
        ("type", "seat", 151), ("verdict", "wrong", 1), ("low", "1", 150), ("high", "1.5", 1),
        ("text", "BERLIN", 1), ("text", "question 14", 11),
    ]:  # fmt: skip
        browser.filter(identifier, value)
        assert browser.count() == f"{count} of 151 episodes", (identifier, value)
        browser.filter(identifier, "")
    browser.driver.execute_script("document.querySelector('[data-sort=reward]').click()")
    assert browser.texts("#list tbody .question a")[0] == "last"
    browser.driver.execute_script("document.querySelector('#list tbody tr').click()")
    assert browser.chosen() == "last"
    browser.press("j")
    assert browser.chosen() == "question 0"
    assert browser.driver.current_url.endswith("#model%2Fq0")
    browser.press("k")
    assert browser.chosen() == "last"
    browser.press("jjjj")
    assert browser.chosen() == "question 3"
    browser.open_page(page, "#model%2Fq149")
    assert browser.chosen() == "question 149"
    assert browser.texts("#list tr[aria-current] .question a") == ["question 149"]


def test_scores_and_plots_are_drawn(browser: Explorer, tmp_path: Path) -> None:
    browser.open_page(write_html_report(write_evaluation(tmp_path, [two_hops(system="model")])))
    assert browser.texts("h1") == ["Evaluation of models/tiny"]
    first = browser.texts("#tables table:first-of-type tbody tr:first-of-type td.score")[0]
    assert first == "50.0 of 50.040.0 to 60.0"
    captions = browser.texts("#plots figcaption")
    assert captions[:4] == ["EM", "Hits@1", "F1", "pass@k, EM"]
    assert len(browser.texts("#plots figure:first-of-type .whisker")) >= 4
    assert browser.texts("#plots .ceiling")


def test_two_hops_are_two_arrows(browser: Explorer, tmp_path: Path) -> None:
    explore(browser, tmp_path, two_hops(step=1))
    assert len(browser.texts(".turn")) == 3
    assert browser.texts(".turn .thought") == ["a thought", "a thought", "done"]
    assert browser.texts("#episode dd .right") == ["✓ Paris = City of Light", "✓ Paris"]
    assert browser.nodes() == ["Lyon", "France", "Paris"]
    assert browser.nodes(".gold") == browser.nodes(".answered") == ["Paris"]
    assert browser.arrows() == [("Lyon", "France"), ("France", "Paris")]
    assert browser.texts(".graph:not(.plan) .edge-label title") == ["1· country", "2· capital"]
    assert browser.texts(".plan .node text") == ["Lyon", "?", "Paris"]


def test_a_head_search_points_from_what_it_found(browser: Explorer, tmp_path: Path) -> None:
    cities = [f"city {index}" for index in range(24)]
    turns = [
        search("get_relations", ["country", "capital"], entity_id="France"),
        search("get_head_entities", [*cities, "Paris"], entity_id="France", relation="country"),
        search("get_tail_entities", entity_id="France", relation="moon"),
        search("get_tail_entities", entity_id="France", relation="moon"),
        search("count_triples", ["7 triples"], entity_id="France"),
        answer("Paris"),
    ]
    explore(browser, tmp_path, episode(turns, topic_entities=["France"]))
    assert browser.nodes() == ["France", "Paris", "24 more entities", "7 triples"]
    assert browser.arrows() == [("Paris", "France"), ("24 more entities", "France"), ("France", "7 triples")]
    notes = [text.split("·", 1) for text in browser.texts("#episode .graph .note > title")]
    assert notes == [["1", " get relations: 2 relations"], ["3, 4", " → moon ? no results"]]
    assert len(browser.texts("#episode .edge.custom")) == 1
    assert len(browser.texts(".turn .result.error")) == 2
    assert browser.texts(".listing summary") == ["all 25 items of the result, 1 gold"]


def test_a_handle_stands_for_a_whole_result(browser: Explorer, tmp_path: Path) -> None:
    turns = [
        marked("#2", search("get_tail_entities", ["Spain", "Italy"], entity_id="#1", relation="borders")),
        marked("#3", search("get_tail_entities", ["Madrid", "Rome"], entity_id="#2", relation="capital")),
        search("get_tail_entities", ["1", "2"], entity_id=["Madrid", "Rome"], relation="size"),
        search("get_tail_entities", ["x"], entity_id="Spain", relation="y"),
        answer("Paris"),
    ]
    explore(browser, tmp_path, episode(turns, topic_entities=["France"]))
    assert browser.arrows() == [
        ("France", "#2: 2 entities"),
        ("#2: 2 entities", "Madrid"),
        ("#2: 2 entities", "Rome"),
        ("Madrid", "2 entities"),
        ("Rome", "2 entities"),
        ("#2: 2 entities", "Spain"),
        ("Spain", "x"),
    ]


def test_numbers_given_to_results_alone_are_read_from_the_observations(
    browser: Explorer, tmp_path: Path
) -> None:
    turns = [
        search("get_tail_relations", ["borders"], entity_id="France"),
        marked("#1", search("get_tail_entities", ["Spain", "Italy"], entity_id="France", relation="borders")),
        search("get_tail_entities", ["Madrid"], entity_id="#1 except Italy", relation="capital"),
        answer("Madrid"),
    ]
    explore(browser, tmp_path, episode(turns, topic_entities=["France"]))
    assert browser.arrows() == [("France", "#1: 2 entities"), ("#1: 2 entities", "Madrid")]


def marked(handle: str, turn: dict[str, Any]) -> dict[str, Any]:
    """A search whose result was given a handle."""
    return {**turn, "observation": turn["observation"].replace("<information>", f"<information>{handle}: ")}


def test_hostile_names_stay_text_and_nothing_is_requested(browser: Explorer, tmp_path: Path) -> None:
    turns = [
        search(HOSTILE, [HOSTILE, "b", "c", "d", "e"], entity_id=HOSTILE, relation=HOSTILE),
        {**answer(HOSTILE), "kind": "malformed", "problem": HOSTILE},
        answer(HOSTILE),
    ]
    record = episode(
        turns,
        system=HOSTILE,
        question=HOSTILE,
        topic_entities=[HOSTILE],
        gold=[[HOSTILE]],
        question_id=HOSTILE,
        question_type=HOSTILE,
        path=[["tail", HOSTILE], ["without", "0"]],
    )
    page = write_html_report(write_evaluation(tmp_path, [{**record, "status": HOSTILE}]))
    browser.requests()
    browser.complaints()
    browser.open_page(page)
    assert browser.chosen() == HOSTILE
    assert HOSTILE in browser.nodes()
    assert browser.driver.execute_script("return window.hacked") is None
    assert browser.driver.execute_script("return document.querySelectorAll('script, img').length") == 2
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "about:"))] == []


def test_what_was_left_out_is_told(browser: Explorer, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [two_hops(step=1, question_id=f"q{k}") for k in range(9)])
    browser.open_page(write_episode_explorer([log], tmp_path / "page.html", max_bytes=1))
    assert "step 1: the first 1 of 9" in browser.texts("#cut")[0]
    assert browser.count() == "1 of 1 episode"
    assert browser.complaints() == []
