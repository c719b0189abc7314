"""The episodes on disk: nothing finished is lost, and nothing is mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kg_r1.eval.episodes_file import EPISODES, PART, SETTINGS, EpisodesFile, Key, OtherSettings
from tests.eval.small import ONE_HOP, TWO_HOP, line

SETTINGS_USED = {"temperature": 0.0, "actions": ["a", "b"]}
ORDER = [Key("model", ONE_HOP.question_id, 0), Key("model", TWO_HOP.question_id, 0)]


def opened(folder: Path, **changed: Any) -> EpisodesFile:
    options: dict[str, Any] = {"settings": SETTINGS_USED, "systems": ["model"], "num_samples": 1} | changed
    return EpisodesFile(folder, options["settings"], options["systems"], options["num_samples"])


def texts(path: Path) -> list[str]:
    return [json.loads(one)["question"]["question_id"] for one in path.read_text().splitlines()]


def test_lines_are_there_before_the_end_and_then_in_order(tmp_path: Path) -> None:
    with opened(tmp_path / "out") as episodes:
        episodes.add(line(TWO_HOP))
        assert texts(tmp_path / "out" / PART) == [TWO_HOP.question_id]
        assert not (tmp_path / "out" / EPISODES).exists()
        episodes.add(line(ONE_HOP))
        path = episodes.finish(ORDER)
    assert texts(path) == [ONE_HOP.question_id, TWO_HOP.question_id]
    assert not (tmp_path / "out" / PART).exists()
    assert opened(tmp_path / "out").is_finished


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(tmp_path) as episodes:
        episodes.add(line(ONE_HOP))
        episodes.seconds["model"] = 2.5
        raise KeyboardInterrupt
    again = opened(tmp_path)
    assert (again.done, again.seconds, again.is_finished) == ({ORDER[0]}, {"model": 2.5}, False)
    with again:
        again.add(line(TWO_HOP))
        assert len(texts(again.finish(ORDER))) == 2


def test_a_line_cut_by_a_power_failure_is_played_again(tmp_path: Path) -> None:
    with opened(tmp_path) as episodes:
        episodes.add(line(ONE_HOP))
        episodes.add(line(TWO_HOP))
    part = tmp_path / PART
    part.write_bytes(part.read_bytes()[:-20])
    again = opened(tmp_path)
    assert again.done == {ORDER[0]}
    with again:
        again.add(line(TWO_HOP, em=1.0))
        finished = [json.loads(one) for one in again.finish(ORDER).read_text().splitlines()]
    assert [one["metrics"]["em"] for one in finished] == [0.0, 1.0]


def test_other_settings_are_refused_with_where_they_differ(tmp_path: Path) -> None:
    with opened(tmp_path) as episodes:
        episodes.add(line(ONE_HOP))
    with pytest.raises(OtherSettings, match=r"temperature: 0\.0 there, 0\.7 here") as caught:
        opened(tmp_path, settings=SETTINGS_USED | {"temperature": 0.7})
    assert "\n" not in str(caught.value)
    assert texts(tmp_path / PART) == [ONE_HOP.question_id]


def test_more_systems_and_samples_are_welcome_and_fewer_are_not(tmp_path: Path) -> None:
    with opened(tmp_path, num_samples=2) as episodes:
        episodes.add(line(ONE_HOP, 0))
        episodes.add(line(ONE_HOP, 1))
        episodes.finish([ORDER[0], Key("model", ONE_HOP.question_id, 1)])
    with opened(tmp_path, systems=["model", "oracle"], num_samples=2) as more:
        # What was finished stays where it is until the rest is finished too.
        assert len(texts(tmp_path / EPISODES)) == 2
        more.add(line(ONE_HOP, 0, system="oracle"))
        assert len(texts(tmp_path / PART)) == 3
    with pytest.raises(OtherSettings, match="systems: oracle there"):
        opened(tmp_path, num_samples=2)
    with pytest.raises(OtherSettings, match="num_samples: 2 there, 1 here"):
        opened(tmp_path, systems=["model", "oracle"])


def test_episodes_of_nobody_knows_what_are_not_added_to(tmp_path: Path) -> None:
    (tmp_path / EPISODES).write_text(json.dumps(line(ONE_HOP)) + "\n")
    with pytest.raises(OtherSettings, match=SETTINGS):
        opened(tmp_path)


@pytest.mark.parametrize(("name", "text"), [(SETTINGS, "[]"), (SETTINGS, "{"), (PART, "not JSON\n")])
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    with opened(tmp_path) as episodes:
        episodes.add(line(ONE_HOP))
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        opened(tmp_path)


def test_settings_that_nothing_was_played_with_bind_nobody(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with opened(tmp_path, settings={"temperature": 1.0}) as episodes:
        episodes.add(line(ONE_HOP))
    assert opened(tmp_path, settings={"temperature": 1.0}).done == {ORDER[0]}


def test_an_episode_that_is_missing_is_not_passed_over(tmp_path: Path) -> None:
    with opened(tmp_path) as episodes:
        episodes.add(line(ONE_HOP))
        with pytest.raises(KeyError):
            episodes.finish(ORDER)
    assert not (tmp_path / EPISODES).exists()
