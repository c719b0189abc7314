"""The page for asking, in a real browser against a real server."""

from __future__ import annotations

from pathlib import Path

from kblampp.infer.app import Limits
from kblampp.infer.service import InjectionService
from tests.browser import Browser, chromium
from tests.kblampp.infer.conftest import HOSTILE
from tests.kblampp.infer.serving import serving

ASK = "document.getElementById('send').click()"


def test_a_question_is_asked_and_drawn(service: InjectionService, store_root: Path, tmp_path: Path) -> None:
    service.swap(store_root / "other")
    limits = Limits(max_question_chars=80)
    with chromium(tmp_path / "profile", Browser) as browser, serving(service, limits, store_root) as client:
        browser.open(client.url + "/")
        browser.wait_for("#status:not(:empty)")
        assert browser.texts("#status") == ["backbone, store other with 33 facts, exact search"]
        browser.set("#question", f"Where was Ada Brook born? {HOSTILE}")
        browser.set("#time", "1992")
        browser.run(ASK)
        browser.wait_for("#said")
        assert browser.texts("#answer h2") == [f"Where was Ada Brook born? {HOSTILE}"]
        item = client.send("/qa_with_paths", {"question": "Where was Ada Brook born?"})[1]
        assert len(browser.texts(".bars tbody tr")) == len(item["facts"]) + 1
        assert browser.texts(".bars .refusal .fact") == ["none of them: a refusal"]
        assert browser.texts(".timeline .label")[0] == "asked about, 1992"
        assert len(browser.texts(".gate")) == 2
        assert browser.texts("svg.path .node") or browser.texts("section p.quiet")
        assert browser.run("return window.hacked") is None
        assert browser.run("return document.querySelectorAll('script, img').length") == 2
        assert browser.complaints() == []
        asked = {url for url in browser.requests() if not url.startswith("about:")}
        paths = {"/", "/health", "/qa_with_paths", "/favicon.ico"}
        assert asked <= {client.url + path for path in paths}
        browser.set("#time", "soon")
        browser.run(ASK)
        browser.wait_for(".error")
        assert "question_time" in browser.texts(".error")[0]
        browser.open(client.url + "/", width=360)
        browser.set("#question", "a" * 79)
        browser.run(ASK)
        browser.wait_for("#said")
        assert browser.overflow() <= 0
