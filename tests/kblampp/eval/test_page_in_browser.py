"""The page of evidence, in a real browser from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kblampp.eval.visualize_alpha import draw_alpha, draw_betas, write_page
from tests.browser import Browser, chromium

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>$\\frac{"


def fact(rank: int, head: str, tail: str, alpha: float, **more: Any) -> dict[str, Any]:
    return {
        "rank": rank,
        "id": f"{head}-{tail}",
        "head": head,
        "relation": "leads to",
        "tail": tail,
        "context": f"{head} leads to {tail}.",
        "time_window": None,
        "alpha": alpha,
        "is_supporting": False,
        **more,
    }


def question(qid: str, kind: str, em: float, facts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    supporting = [it["id"] for it in facts if it["is_supporting"]]
    return {
        "qid": qid,
        "type": kind,
        "tags": [],
        "question": f"What of {qid}?",
        "question_time": None,
        "answers": ["c"],
        "supporting_facts": supporting,
        "said": "c",
        "em": em,
        "refusal_alpha": 0.1,
        "betas": {"3": 0.25, "11": 0.75},
        "facts": facts,
        "paths": [{"facts": [it["id"]], "score": -1.0} for it in facts],
        "path": supporting,
        "path_f1": 1.0,
        "causal": None,
        **more,
    }


def two_hops() -> dict[str, Any]:
    facts = [
        fact(0, "a", "b", 0.5, is_supporting=True, time_window=["1990-01-01", "1994-12-31"]),
        fact(1, "b", "c", 0.35, is_supporting=True),
        fact(2, "b", "d", 0.05, time_window=["1995-01-01", None]),
    ]
    deltas = [{"id": "a-b", "is_supporting": True, "is_top": True, "delta": -2.5}]
    causal = {"text": "c", "log_probability": -0.1, "deltas": deltas}
    asked = ["1992-01-01", "1992-12-31"]
    return question("two", "multi-hop", 1.0, facts, question_time=asked, causal=causal)


def hostile() -> dict[str, Any]:
    facts = [fact(0, HOSTILE, HOSTILE + "2", 0.9, is_supporting=True, relation=HOSTILE, context=HOSTILE)]
    more = {"question": HOSTILE, "said": HOSTILE, "answers": [HOSTILE], "qid": HOSTILE}
    return {**question("x", "single-hop", 0.0, facts), **more}


def test_the_page_draws_filters_and_stays_text(tmp_path: Path) -> None:
    refused = question("none", "unanswerable", 0.0, [fact(0, "a", "b", 0.3)], refusal_alpha=0.7)
    write_page(
        {"about": {"store": "tiny"}, "questions": [two_hops(), hostile(), refused]}, tmp_path / "p.html"
    )
    with chromium(tmp_path / "profile", Browser) as browser:
        browser.open((tmp_path / "p.html").as_uri())
        check_two_hops(browser)
        for selector, value, count in (
            ("#filter-verdict", "right", 1),
            ("#filter-verdict", "wrong", 2),
            ("#filter-type", "unanswerable", 1),
            ("#filter-type", "multi-hop", 0),
        ):
            browser.set(selector, value)
            assert browser.texts("#count") == [f"{count} of 3 questions"], (selector, value)
        browser.set("#filter-type", "")
        browser.set("#filter-text", "WHAT OF NONE")
        assert browser.texts("#count") == ["1 of 3 questions"]
        browser.run("document.querySelector('#list button').click()")
        assert browser.texts("#question .quiet")[-1] == "None: the refusal weighs most."
        browser.set("#filter-text", "")
        browser.run("document.querySelector('#list button').click()")
        assert browser.texts("#question h2") == [HOSTILE]
        assert nodes(browser) == [HOSTILE, HOSTILE + "2"]
        assert browser.run("return window.hacked") is None
        assert browser.run("return document.querySelectorAll('script, img').length") == 2
        browser.run("return scrollTo(0, 0)")
        assert browser.complaints() == []
        assert [url for url in browser.requests() if not url.startswith(("file:", "about:"))] == []
        browser.open((tmp_path / "p.html").as_uri(), width=360)
        assert browser.overflow() <= 0


def nodes(browser: Browser) -> list[str]:
    script = "return [...document.querySelectorAll('.node')].map((it) => it.dataset.label)"
    return list(browser.run(script))


def check_two_hops(browser: Browser) -> None:
    assert browser.texts("#question h2") == ["What of two?"]
    assert browser.texts(".bars .number:not(.rank)") == ["0.500", "0.350", "0.050", "0.100"]
    assert browser.texts(".bars tr.supporting .triple") == ["a leads to b", "b leads to c"]
    assert browser.texts(".when") == ["1990 – 1994", "always", "1995 – "]
    assert browser.run(
        "return [...document.querySelectorAll('.bars rect:not(.back)')].map((it) => it.getAttribute('width'))"
    ) == ["50", "35", "5", "10"]
    assert nodes(browser) == ["a", "b", "c"]
    assert browser.texts("svg.path .relation title") == ["leads to", "leads to"]
    assert browser.texts(".timeline .label")[0] == "asked about, 1992"
    assert len(browser.texts(".timeline .span")) == 3
    assert browser.texts(".gate") == ["3: 0.25", "11: 0.75"]
    assert browser.texts(".deltas td")[:2] == ["a-b", "−2.50 nats"]


def test_a_page_with_fewer_questions_says_so(tmp_path: Path) -> None:
    write_page({"questions": [two_hops()] * 3}, tmp_path / "p.html", max_questions=2)
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "the first 2 of 3 questions" in text
    assert text.count('"qid":"two"') == 2


@pytest.mark.filterwarnings("ignore:Glyph")
def test_pictures_bear_every_text(tmp_path: Path) -> None:
    no_facts = question("none", "single-hop", 0.0, [], question="$ \ud800 \x00 日本 \\alpha $x_{$")
    for number, records in enumerate(([two_hops(), hostile(), no_facts], [no_facts], [two_hops()] * 90)):
        draw_alpha(records, tmp_path / f"{number}.png")
        draw_betas(records, tmp_path / f"{number}-b.png")
    assert len(list(tmp_path.iterdir())) == 6
