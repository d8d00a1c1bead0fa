"""A study: who takes part sees every pair once, in an order and on sides drawn anew, and every choice is logged."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from inpaintlab.web import COLUMNS, Log, Study, read_contender
from inpaintlab.web.choices import row
from inpaintlab.web.messages import Choice
from stand_ins.results import write_result
from stand_ins.served import Painter, offered, pixels, served

GREYS = {"dark": 40, "middle": 120, "bright": 220}


def folder(root: Path, label: str, cases: tuple[str, ...] = ("a", "b/c"), size: tuple[int, int] = (6, 5)) -> Path:
    for case in cases:
        path = root / label / f"{case}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, GREYS.get(label, 7)).save(path)
    return root / label


def study_of(root: Path, *labels: str, seed: int = 1) -> Study:
    return Study([read_contender(folder(root, label)) for label in labels], Log(root / "log" / "choices.csv"), seed)


def rows(root: Path) -> list[dict[str, str]]:
    with (root / "log" / "choices.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_pair_is_seen_once_and_logged_as_it_was_shown(tmp_path: Path) -> None:
    study = study_of(tmp_path, *GREYS)
    with served({}, study=study) as server, server.client() as client:
        about = client.get("/api/about").json()
        begun = client.post("/api/study/sessions", json={"participant": "P-7"}).json()
        session, trials = f"/api/study/sessions/{begun['session']}", begun["trials"]
        at = client.get(session).json()
        shown = []
        while at["trial"] < trials:
            sides = [
                pixels(client.get(f"{session}/trials/{at['trial']}/{side}.png").content) for side in ("left", "right")
            ]
            assert all(side.shape[:2] == (at["height"], at["width"]) == (5, 6) for side in sides)
            greys = [int(side.flat[0]) for side in sides]
            # this participant prefers what is brighter
            chosen = "left" if greys[0] > greys[1] else "right"
            shown.append(tuple(next(label for label, grey in GREYS.items() if grey == one) for one in greys))
            at = client.post(f"{session}/trials/{at['trial']}", json={"chosen": chosen, "seconds": 0.5}).json()
    assert about["study"]
    assert about["methods"] == []
    assert trials == 2 * 3
    log = rows(tmp_path)
    assert [(row["left"], row["right"]) for row in log] == shown
    assert {row["participant"] for row in log} == {"P-7"}
    assert {row["seconds"] for row in log} == {"0.50"}
    assert [row["trial"] for row in log] == ["0", "1", "2", "3", "4", "5"]
    assert Counter(row["winner"] for row in log) == {"bright": 4, "middle": 2}
    pairs = Counter((row["case"], frozenset((row["left"], row["right"]))) for row in log)
    assert set(pairs.values()) == {1}
    assert len(pairs) == 6


def test_results_of_evaluate_take_part_under_their_labels(tmp_path: Path) -> None:
    folders = [write_result(tmp_path / name, [20.0] * 6, label=name.upper()) for name in ("one", "two")]
    study = Study([read_contender(path) for path in folders], Log(tmp_path / "log.csv"), 1)
    assert [one.label for one in study.contenders] == ["ONE", "TWO"]
    assert len(study.sizes) == 6
    session, trials = study.begin("")
    assert trials == 6
    assert pixels(study.picture(session, 0, "left")).shape[:2] == (16, 16)


def test_sides_and_orders_are_drawn_for_each_participant(tmp_path: Path) -> None:
    root = tmp_path
    cases = tuple(f"case{number}" for number in range(20))
    contenders = [read_contender(folder(root, label, cases)) for label in ("dark", "bright")]
    study = Study(contenders, Log(root / "choices.csv"), 1)
    orders, left = [], []
    for _ in range(4):
        session, _ = study.begin("")
        found = study._sessions[session]
        trials = [study._trial(found, number) for number in range(len(found.order))]
        orders.append(tuple(trial.case for trial in trials))
        left += [trial.left.label for trial in trials]
    assert len(set(orders)) == 4
    # 80 fair coins: outside of 22 to 58 once in 16,000 times
    assert 22 <= left.count("dark") <= 58


def test_orders_do_not_begin_again_when_a_server_does(tmp_path: Path) -> None:
    cases = tuple(f"case{number}" for number in range(20))
    contenders = [read_contender(folder(tmp_path, label, cases)) for label in ("dark", "bright")]

    def begun() -> tuple[Study, str, list[object]]:
        study = Study(contenders, Log(tmp_path / "choices.csv"), 1)
        session, trials = study.begin("")
        return study, session, [study._trial(study._sessions[session], number) for number in range(trials)]

    study, session, first = begun()
    assert begun()[2] == first  # nothing was chosen yet: the seed says it all
    study.choose(session, 0, Choice(chosen="left"))
    assert begun()[2] != first


def test_a_choice_that_cannot_be_logged_does_not_count(tmp_path: Path) -> None:
    study = study_of(tmp_path, "dark", "bright")
    (tmp_path / "log" / "choices.csv").mkdir()
    with served({}, study=study) as server, server.client() as client:
        session = f"/api/study/sessions/{client.post('/api/study/sessions', json={}).json()['session']}"
        answer = client.post(f"{session}/trials/0", json={"chosen": "left"})
        assert (answer.status_code, answer.json()["detail"][-1]) == (507, ".")
        assert client.get(session).json()["trial"] == 0
    assert len(server.lines) == 1


def test_a_line_for_which_the_disk_has_no_room_is_not_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, entry = Log(tmp_path / "choices.csv"), dict.fromkeys(COLUMNS, "x")
    log.add(entry)
    before, write = log.path.read_bytes(), os.write
    monkeypatch.setattr("inpaintlab.web.choices.os.write", lambda number, line: write(number, line[:5]))
    with pytest.raises(OSError, match="No space left"):
        log.add(entry)
    assert log.path.read_bytes() == before


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_takes_no_cell_for_a_formula(tmp_path: Path, cell: str) -> None:
    log = Log(tmp_path / "log" / "choices.csv")
    read = "'" + cell.replace("\t", " ").replace("\r", " ")
    log.add(row("-session", "-7", cell, cell, "plain = +", Choice(chosen="left"), "0"))
    (entry,) = rows(tmp_path)
    assert [entry[key] for key in ("session", "participant", "trial", "case", "left", "right", "winner")] == [
        "'-session",
        "'-7",
        "0",
        read,
        read,
        "plain = +",
        read,
    ]


def test_no_trial_is_answered_twice_or_seen_before_its_turn(tmp_path: Path) -> None:
    study = study_of(tmp_path, "dark", "bright")
    with served({}, study=study) as server, server.client() as client:
        session = f"/api/study/sessions/{client.post('/api/study/sessions', json={}).json()['session']}"
        assert client.get(f"{session}/trials/1/left.png").status_code == 404
        assert client.post(f"{session}/trials/1", json={"chosen": "left"}).status_code == 409
        answers = [client.post(f"{session}/trials/0", json={"chosen": "left", "seconds": at}) for at in (1, 2)]
        assert answers[0].json() == answers[1].json() == client.get(session).json()  # the first one may be lost
        assert answers[0].json()["trial"] == 1
        assert client.post(f"{session}/trials/0", json={"chosen": "right"}).status_code == 409
        assert client.post(f"{session}/trials/1", json={"chosen": "both"}).status_code == 422
        assert client.get("/api/study/sessions/none").status_code == 404
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize("participant", ["=cmd()", "a,b", "x" * 41, 'q"', "line\nbreak"])
def test_a_participants_code_is_plain(tmp_path: Path, participant: str) -> None:
    with served({}, study=study_of(tmp_path, "dark", "bright")) as server, server.client() as client:
        assert client.post("/api/study/sessions", json={"participant": participant}).status_code == 422


def test_a_studys_server_takes_no_photographs(tmp_path: Path) -> None:
    study = study_of(tmp_path, "dark", "bright")
    with served(offered(grey=Painter()), study=study) as server, server.client() as client:
        assert client.post("/api/visits").status_code in (404, 405)
        assert "Which picture is better" in client.get("/").text


def test_results_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    log = Log(tmp_path / "choices.csv")
    dark = read_contender(folder(tmp_path, "dark"))
    few = read_contender(folder(tmp_path, "few", ("a",)))
    large = read_contender(folder(tmp_path, "large", size=(9, 9)))
    for others, words in (([], "two result folders"), ([few], "same cases: b/c is"), ([large], "differ in size")):
        with pytest.raises(ValueError, match=words):
            Study([dark, *others], log, 1)
    with pytest.raises(ValueError, match="are called dark"):
        Study([dark, dark], log, 1)


def test_a_log_goes_on_where_it_was_and_another_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "log" / "choices.csv"
    entry = dict.fromkeys(COLUMNS, "x")
    Log(path).add(entry)
    Log(path).add(entry)
    assert path.read_text().splitlines() == [",".join(COLUMNS), *[",".join("x" * len(COLUMNS))] * 2]
    other = tmp_path / "other.csv"
    other.write_text("name,age\n")
    with pytest.raises(ValueError, match="no log of choices"):
        Log(other)
    assert other.read_text() == "name,age\n"
