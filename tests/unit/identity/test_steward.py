"""The steward's part: what is asked, what a verdict binds, who may look, and that nothing of it gets out."""

import fcntl
import http.client
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

import duckdb
import polars as pl
import pytest

from pipelines import planner
from pipelines.identity import present
from pipelines.identity.steward import page, queue, sample, show
from pipelines.identity.steward.desk import StewardError, at_desk
from pipelines.identity.steward.verdict import give_verdict
from pipelines.identity.vault import open_vault
from pipelines.reports import quality
from pipelines.settings import ROOT, Settings, load
from pipelines.writer_lock import WriterBusy

from .conftest import CANARY
from .made_up_queue import BUILD, NEXT_BUILD, STEWARD, MadeUp, home, record, vault_in_memory, write

TODAY = date.today()


@dataclass
class Desk:
    """A home with made-up people, and its vault's tables in memory."""

    settings: Settings
    con: duckdb.DuckDBPyConnection


@pytest.fixture
def desk_of(tmp_path):
    """Make a desk over made-up people, with as many questions as records; policy may be named."""

    def maker(made_up, **policy):
        desk = Desk(home(tmp_path, **{"queue_share": 1, **policy}), vault_in_memory())
        desk.settings.vault.mkdir(parents=True)
        write(desk.con, made_up)
        return desk

    return maker


def refresh(desk, build=BUILD):
    present.renew(desk.con)
    return queue.refresh_queue(desk.con, desk.settings, build)


def items(desk):
    """Newest row of every item, by number."""
    return desk.con.execute(f"SELECT * FROM {queue.ITEM} ORDER BY item_id").pl().to_dicts()


def rows_of(desk, table):
    return desk.con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()


def judge(desk, item, verdict, why="both papers seen", bind=False):
    return give_verdict(desk.con, desk.settings, item, verdict, STEWARD, why, bind)


def binding(desk):
    """Pairs that a verdict binds now, by the rule itself: of each pair the row with the latest time."""
    newest = {}
    for a, b, verdict, _, _, at in rows_of(desk, "verdict"):
        pair = (min(a, b), max(a, b))
        if pair not in newest or newest[pair][0] < at:
            newest[pair] = (at, verdict)
    return {pair: verdict for pair, (_, verdict) in newest.items() if verdict != "defer"}


TWO = {1: [record(11), record(12), record(13)], 2: [record(21), record(22)]}


# --- what is asked ------------------------------------------------------------------------------------------------
def test_two_persons_are_asked_about_once_by_their_best_pair(desk_of):
    desk = desk_of(MadeUp(TWO, scores=[(11, 21, 1.5), (12, 22, 3.5), (13, 21, -1.0), (11, 12, 30.0)]))
    summary = refresh(desk)
    (asked,) = items(desk)
    assert (asked["kind"], asked["record_key_a"], asked["record_key_b"], asked["score"]) == (
        "possible_match", 12, 22, 3.5,
    )  # fmt: skip
    assert (summary.records, summary.open_items, summary.opened) == (5, 1, 1)


def test_a_pair_below_the_review_weight_is_not_asked(desk_of):
    desk = desk_of(MadeUp(TWO, scores=[(11, 21, 1.9)]), review_weight=2)
    assert refresh(desk).open_items == 0 and items(desk) == []


def test_what_a_steward_told_apart_and_what_follows_nobody_for_other_reasons_is_not_asked(desk_of):
    made_up = MadeUp(
        TWO,
        conflicts=[(11, 21, "name_birth", "verdict_distinct")],
        undetermined=[(21, 11, "two_persons_carry_the_number")],
    )
    assert refresh(desk_of(made_up)).open_items == 0


@pytest.mark.parametrize(
    ("conflicts", "undetermined", "reason"),
    [
        ([(11, 21, "name_birth", "weak_bridge")], [], "weak_bridge"),
        ([(11, 21, "name_birth", "two_confirmed_ssns")], [], "two_confirmed_ssns"),
        ([], [(21, 11, "names_do_not_agree")], "wage_name_differs"),
        ([], [(21, 11, "number_of_a_crowd")], "wage_number_of_a_crowd"),
    ],
)
def test_a_tie_that_did_not_join_two_persons_is_asked(desk_of, conflicts, undetermined, reason):
    desk = desk_of(MadeUp(TWO, conflicts=conflicts, undetermined=undetermined))
    refresh(desk)
    assert [(each["kind"], each["reason"]) for each in items(desk)] == [("possible_match", reason)]


def person(first: dict, second: dict, more: tuple[dict, ...] = ()) -> MadeUp:
    return MadeUp({1: [record(11, **first), record(12, **second), *more]})


@pytest.mark.parametrize(
    ("first", "second", "more", "kinds"),
    [
        ({"birth_date": "2001-02-03"}, {"birth_date": "2004-05-03"}, (), ["overlay"]),
        ({"birth_date": "2001-02-03"}, {"birth_date": "2001-03-02"}, (), []),  # exchanged
        ({"birth_date": "2001-02-03"}, {"birth_date": "2002-02-03"}, (), []),  # one part
        (
            {"ssn": "123456789"},
            {"ssn": "123499999"},
            (record(13, "postsecondary", ssn="123456789"), record(14, "postsecondary", ssn="123499999")),
            ["overlay"],
        ),
        # Confirmed by one sector only.
        ({"ssn": "123456789"}, {"ssn": "123499999"}, (record(13, "postsecondary", ssn="123456789"),), []),
        # One digit apart: a slip.
        (
            {"ssn": "123456789"},
            {"ssn": "123456788"},
            (record(13, "postsecondary", ssn="123456789"), record(14, "postsecondary", ssn="123456788")),
            [],
        ),
        ({"student_id_state": "100"}, {"student_id_state": "200"}, (), ["duplicate_id"]),
    ],
)
def test_one_person_is_asked_about_when_its_values_are_those_of_two(desk_of, first, second, more, kinds):
    desk = desk_of(person(first, second, more))
    refresh(desk)
    assert [each["kind"] for each in items(desk)] == kinds


def test_one_student_id_of_two_persons_is_asked_and_bare_rows_with_it_are_not(desk_of):
    bare = {"given_name": None, "surname": None, "birth_date": None}
    people = {
        1: [record(11, student_id_state="777")],
        2: [record(21, student_id_state="777")],
        3: [record(31, student_id_state="777", **bare)],
    }
    desk = desk_of(MadeUp(people))
    refresh(desk)
    assert [(each["kind"], each["record_key_a"], each["record_key_b"]) for each in items(desk)] == [
        ("duplicate_id", 11, 21)
    ]


def crowd() -> MadeUp:
    """Ten persons of two records: one overlay, four possible matches, one student id given to two."""
    people = {
        number: [record(10 * number), record(10 * number + 1, "postsecondary", birth_date="2001-02-03")]
        for number in range(1, 11)
    }
    people[1][1]["birth_date"] = "1990-12-31"
    people[2][0]["student_id_state"] = people[3][0]["student_id_state"] = "55"
    return MadeUp(people, scores=[(40, 50, 1.0), (40, 60, 3.0), (70, 80, 2.0), (90, 100, -1.5)])


def test_the_queue_is_no_larger_than_its_share_of_records_and_the_most_valuable_come_first(desk_of):
    desk = desk_of(crowd(), queue_share=0.15)  # 20 records: 3 items
    summary = refresh(desk)
    assert (summary.limit, summary.open_items, summary.left_out) == (3, 3, 3)
    assert [(each["kind"], each["score"]) for each in items(desk)] == [
        ("overlay", 1.0), ("possible_match", 3.0), ("possible_match", 2.0),
    ]  # fmt: skip


def test_what_was_opened_keeps_its_place_when_something_better_comes(desk_of):
    made_up = crowd()
    desk = desk_of(made_up, queue_share=0.15)
    refresh(desk)
    made_up.scores.append((50, 100, 9.0))
    write(desk.con, made_up, NEXT_BUILD)
    summary = refresh(desk, NEXT_BUILD)
    assert (summary.opened, summary.closed, summary.left_out) == (0, 0, 4)
    assert max(each["score"] for each in items(desk)) == 3.0


def test_the_same_night_again_appends_nothing_and_writes_the_same_bytes(desk_of):
    desk = desk_of(crowd())
    refresh(desk)
    names = ("steward_queue.parquet", "steward_verdict.parquet")
    before = rows_of(desk, "queue_item"), [(desk.settings.exchange / name).read_bytes() for name in names]
    refresh(desk)
    assert (rows_of(desk, "queue_item"), [(desk.settings.exchange / name).read_bytes() for name in names]) == before


def test_an_item_closes_by_itself_when_its_cause_or_a_record_is_gone(desk_of):
    made_up = crowd()
    desk = desk_of(made_up)
    assert refresh(desk).open_items == 6
    made_up.scores.remove((40, 50, 1.0))  # the evidence is gone
    made_up.people[7] += made_up.people.pop(8)  # joined by other evidence
    made_up.people.pop(10)  # no longer delivered
    write(desk.con, made_up, NEXT_BUILD)
    summary = refresh(desk, NEXT_BUILD)
    closed = {
        (each["record_key_a"], each["record_key_b"]): each["because"]
        for each in items(desk)
        if each["state"] == "closed"
    }
    assert closed == {(40, 50): "cause_gone", (70, 80): "cause_gone", (90, 100): "record_gone"}
    assert (summary.closed, summary.open_items) == (3, 3)


def test_an_item_stays_the_same_question_when_its_evidence_changes(desk_of):
    desk = desk_of(MadeUp(TWO, scores=[(11, 21, 1.0)]))
    refresh(desk)
    write(desk.con, MadeUp(TWO, scores=[(11, 21, 1.0), (12, 22, 2.0)]), NEXT_BUILD)
    refresh(desk, NEXT_BUILD)
    (asked,) = items(desk)
    assert (asked["item_id"], asked["record_key_a"], asked["score"], asked["opened_build"]) == (1, 12, 2.0, BUILD)


# --- what a verdict does ------------------------------------------------------------------------------------------
def test_distinct_binds_every_record_of_one_person_with_every_record_of_the_other(desk_of):
    desk = desk_of(MadeUp(TWO, scores=[(12, 22, 3.0)]))
    refresh(desk)
    assert "binds 6 pairs" in judge(desk, 1, "distinct")
    assert binding(desk) == {(a, b): "distinct" for a in (11, 12, 13) for b in (21, 22)}


def test_same_binds_the_two_records(desk_of):
    desk = desk_of(MadeUp(TWO, scores=[(12, 22, 3.0)]))
    refresh(desk)
    judge(desk, 1, "same", "one certificate")
    assert binding(desk) == {(12, 22): "same"}
    ((_, _, verdict, who, why, _),) = rows_of(desk, "verdict")
    assert (verdict, who, why) == ("same", STEWARD, "one certificate")


def test_distinct_inside_one_person_binds_the_records_of_either_value(desk_of):
    people = {
        1: [
            record(11, birth_date="2001-02-03"), record(12, birth_date="2001-02-03"),
            record(13, birth_date="1988-11-30"), record(14, birth_date=None),
        ]
    }  # fmt: skip
    desk = desk_of(MadeUp(people))
    refresh(desk)
    judge(desk, 1, "distinct")
    assert binding(desk) == {(11, 13): "distinct", (12, 13): "distinct"}


def test_a_pair_of_values_judged_the_same_is_not_asked_again_whichever_records_carry_it(desk_of):
    people = {
        1: [
            record(11, birth_date="2001-02-03"), record(12, birth_date="2001-02-03"),
            record(13, birth_date="1988-11-30"),
        ],
        2: [record(21, birth_date="2001-02-03"), record(22, birth_date="1988-11-30")],
    }  # fmt: skip
    desk = desk_of(MadeUp(people))
    refresh(desk)
    first = next(each["item_id"] for each in items(desk) if each["record_key_a"] < 20)
    judge(desk, first, "same")
    summary = refresh(desk, NEXT_BUILD)
    # The other person with the same two dates is a question of its own.
    assert (summary.opened, summary.open_items) == (0, 1)


def test_a_verdict_makes_the_next_night_necessary_and_a_deferral_does_not(desk_of):
    desk = desk_of(crowd())
    refresh(desk)
    untouched = planner.input_parts(desk.settings)["verdicts"]
    judge(desk, 1, "defer")
    assert planner.input_parts(desk.settings)["verdicts"] == untouched
    judge(desk, 2, "distinct")
    touched = planner.input_parts(desk.settings)["verdicts"]
    assert touched != untouched
    judge(desk, 2, "same")
    assert planner.input_parts(desk.settings)["verdicts"] not in (touched, untouched)
    judge(desk, 2, "defer")  # taken back
    assert planner.input_parts(desk.settings)["verdicts"] == untouched


def test_a_judged_question_closes_with_every_other_about_the_same_persons_and_does_not_come_back(desk_of):
    made_up = crowd()
    made_up.scores.append((20, 31, 2.5))  # the two persons with one student id
    desk = desk_of(made_up)
    assert refresh(desk).open_items == 7
    asked = next(each for each in items(desk) if each["record_key_a"] == 20 and each["kind"] == "possible_match")
    assert "answers 1 other item too" in judge(desk, asked["item_id"], "distinct")
    summary = refresh(desk, NEXT_BUILD)
    assert (summary.open_items, summary.opened, summary.left_out) == (5, 0, 0)


def test_a_deferred_item_is_hidden_until_its_day_and_keeps_its_place(desk_of):
    desk = desk_of(MadeUp(TWO, scores=[(12, 22, 3.0)]), defer_days=10)
    refresh(desk)
    judge(desk, 1, "defer")
    back = TODAY + timedelta(days=10)
    assert queue.waiting(desk.con, back - timedelta(days=1)) == []
    assert [each["item_id"] for each in queue.waiting(desk.con, back)] == [1]
    build = f"{back - timedelta(days=1):%Y%m%d}T010000-cccc"
    assert (refresh(desk, build).deferred, items(desk)[0]["state"]) == (1, "deferred")
    build = f"{back:%Y%m%d}T010000-dddd"
    assert (refresh(desk, build).deferred, items(desk)[0]["state"]) == (0, "open")


def test_the_newest_verdict_on_a_pair_counts_and_takes_back_the_rest_of_the_one_it_turns(desk_of):
    desk = desk_of(MadeUp(TWO, scores=[(12, 22, 3.0)]))
    refresh(desk)
    judge(desk, 1, "distinct")
    judge(desk, 1, "same")
    assert binding(desk) == {(12, 22): "same"}
    judge(desk, 1, "defer")
    assert binding(desk) == {} and items(desk)[0]["state"] == "deferred"


def three() -> MadeUp:
    return MadeUp(
        {1: [record(11)], 2: [record(21)], 3: [record(31)]}, scores=[(11, 21, 5.0), (21, 31, 4.0), (11, 31, 3.0)]
    )


def test_same_over_a_chain_that_holds_two_told_apart_is_refused(desk_of):
    desk = desk_of(three())
    refresh(desk)
    judge(desk, 1, "same")
    judge(desk, 3, "distinct")
    before = rows_of(desk, "verdict"), rows_of(desk, "queue_item")
    with pytest.raises(StewardError, match=r"Item 2 cannot be judged 'same'.*item 3"):
        judge(desk, 2, "same")
    assert (rows_of(desk, "verdict"), rows_of(desk, "queue_item")) == before
    judge(desk, 3, "defer")
    assert "binds 1 pair" in judge(desk, 2, "same")


def test_distinct_against_a_chain_of_same_is_refused(desk_of):
    desk = desk_of(three())
    refresh(desk)
    judge(desk, 1, "same")
    judge(desk, 2, "same")
    with pytest.raises(StewardError, match=r"Item 3 cannot be judged 'distinct'.*item 1"):
        judge(desk, 3, "distinct")


@pytest.mark.parametrize("why", ["", " \n", "x" * 3000])
def test_a_verdict_needs_a_reason_that_fits(desk_of, why):
    desk = desk_of(three())
    refresh(desk)
    with pytest.raises(StewardError, match="reason"):
        judge(desk, 1, "same", why)
    assert rows_of(desk, "verdict") == []


def test_an_item_that_closed_by_itself_takes_no_verdict(desk_of):
    desk = desk_of(three())
    refresh(desk)
    write(desk.con, MadeUp(three().people), NEXT_BUILD)
    refresh(desk, NEXT_BUILD)
    with pytest.raises(StewardError, match="nothing is left to judge"):
        judge(desk, 1, "same")


# --- who may look -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["chair", "former", "somebody"])
def test_only_a_steward_in_office_opens_the_vault(tmp_path, who):
    settings = home(tmp_path)
    with pytest.raises(StewardError, match=f"{who} is not an identity steward"), at_desk(settings, who):
        pytest.fail("the vault was opened")


def test_a_look_is_logged_before_anything_is_shown(desk_of, monkeypatch):
    desk = desk_of(three())
    refresh(desk)

    def broken(*arguments):
        raise RuntimeError("shown")

    monkeypatch.setattr(show, "_fields", broken)
    monkeypatch.setattr(show, "waterfall", lambda *arguments: [])
    with pytest.raises(RuntimeError, match="shown"):
        show.look(desk.con, desk.settings, 2, STEWARD, "show", TODAY)
    ((who, os_user, _, item, a, b, how),) = rows_of(desk, "look")
    assert (who, item, a, b, how) == (STEWARD, 2, 21, 31, "show") and os_user


def test_nobody_sits_at_the_desk_while_a_night_runs_and_no_night_starts_meanwhile(tmp_path):
    settings = home(tmp_path)
    with open_vault(settings):
        pass
    descriptor = os.open(settings.writer_lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(WriterBusy), at_desk(settings, STEWARD):
        pytest.fail("the vault was opened")
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    with at_desk(settings, STEWARD), pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("first", "second", "field", "said"),
    [
        ({"birth_date": "2001-02-03"}, {"birth_date": "2001-03-02"}, "Birth date", "near_date"),
        ({"birth_date": "2001-02-03"}, {"birth_date": "1999-12-30"}, "Birth date", "differ"),
        ({"ssn": "123456789"}, {"ssn": "123456798"}, "Social Security number", "near_number"),
        ({"ssn": "123456789"}, {}, "Social Security number", "one"),
        ({"surname": "Ruiz-Ochoa"}, {"surname": "Ochoa"}, "Surname", "part"),
        ({"given_name": "Katherine"}, {"given_name": "Katharine"}, "Given name", "similar"),
        ({"given_name": "Katherine"}, {"given_name": "katherine"}, "Given name", "agree"),
        ({"middle_name": "O"}, {"middle_name": "Oscar"}, "Middle name", "initial"),
        ({"given_name": "\x1b[2JAnn"}, {"given_name": "Bob"}, "Given name", "differ"),
    ],
)
def test_agreement_is_said_in_words(desk_of, monkeypatch, first, second, field, said):
    monkeypatch.setattr(show, "waterfall", lambda *arguments: [("given", "exact", "Equal", 7.25)])
    desk = desk_of(MadeUp({1: [record(11, **first)], 2: [record(21, **second)]}, scores=[(11, 21, 1.0)]))
    refresh(desk)
    sheet = show.look(desk.con, desk.settings, 1, STEWARD, "show", TODAY)
    found = {name: agreement for name, _, _, agreement in sheet.fields}
    assert found[field] == show.AGREEMENTS[said]
    text = show.as_text(sheet)
    assert "+7.25  Equal" in text and "\x1b" not in text


# --- samples ------------------------------------------------------------------------------------------------------
@pytest.fixture
def sampled(desk_of, monkeypatch):
    """A home in which two pairs were drawn, and the queue is empty."""
    desk = desk_of(MadeUp(TWO))
    refresh(desk)
    drawn = pl.DataFrame(
        {
            "record_key_a": [11, 12], "record_key_b": [12, 22], "stratum": ["joined", "apart"],
            "is_linked": [True, False], "inclusion_probability": [0.25, 0.5],
        }
    )  # fmt: skip
    monkeypatch.setattr(sample, "draw_sample", lambda con, settings, size, build_id: drawn.head(size))
    monkeypatch.setattr(planner, "last_good", lambda settings: {"build_id": BUILD})
    assert sample.draw(desk.con, desk.settings, 2).startswith("2 pairs wait")
    assert sample.draw(desk.con, desk.settings, 2).startswith("0 pairs wait")
    return desk


def test_a_judged_sample_is_kept_for_the_estimate_and_binds_only_when_the_steward_says_so(sampled):
    judge(sampled, 1, "distinct")
    assert binding(sampled) == {}
    judge(sampled, 2, "distinct", bind=True)
    assert binding(sampled) == {(a, b): "distinct" for a in (11, 12, 13) for b in (21, 22)}
    kept = [row[:8] for row in rows_of(sampled, "judgement")]
    assert kept == [
        (1, 11, 12, "joined", True, 0.25, BUILD, "distinct"),
        (2, 12, 22, "apart", False, 0.5, BUILD, "distinct"),
    ]


def test_a_sample_is_judged_without_being_told_how_it_is_linked(sampled, monkeypatch):
    monkeypatch.setattr(show, "waterfall", lambda *arguments: pytest.fail("the model was asked"))
    sheet = show.look(sampled.con, sampled.settings, 1, STEWARD, "show", TODAY)
    assert (sheet.evidence, sheet.people, sheet.steps) == ([], ("", ""), [])
    assert "joined" not in show.as_text(sheet)


def test_a_sample_takes_no_place_of_the_queue(sampled):
    assert refresh(sampled, NEXT_BUILD).open_items == 0
    assert [each["state"] for each in items(sampled)] == ["open", "open"]


# --- the page -----------------------------------------------------------------------------------------------------
@pytest.fixture
def served(tmp_path, monkeypatch):
    """A running page over three people, and how to ask it: method, way, form, headers → status, headers, text."""
    monkeypatch.setattr(show, "waterfall", lambda *arguments: [("given", "exact", "Equal", 7.25)])
    settings = home(tmp_path, queue_share=1)
    with open_vault(settings) as con:
        write(con, three())
        present.renew(con)
        queue.refresh_queue(con, settings, BUILD)
    with page.StewardServer(settings, STEWARD) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()

        def ask(method, way, form=None, base=None, **headers):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
            body = urlencode(form) if form else None
            connection.request(method, (server.base if base is None else base) + way, body, headers)
            answer = connection.getresponse()
            found = answer.status, answer.headers, answer.read().decode()
            connection.close()
            return found

        yield settings, server, ask
        server.shutdown()


def kept(settings, table):
    with open_vault(settings) as con:
        return con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()


def test_the_page_shows_two_records_logs_the_look_and_is_kept_nowhere(served):
    settings, server, ask = served
    assert server.server_address[0] == "127.0.0.1"
    status, headers, text = ask("GET", "/item/1")
    assert status == 200 and headers["Cache-Control"] == "no-store"
    assert "Given11" in text and "Given21" in text and "<svg" in text
    assert [row[3:7] for row in kept(settings, "look")] == [(1, 11, 21, "page")]
    assert "Given" not in ask("GET", "/")[2]


def test_the_page_answers_only_under_its_token_and_its_own_name(served):
    settings, server, ask = served
    for status, _, text in (
        ask("GET", "/item/1", base=""),
        ask("GET", "/item/1", base="/" + "x" * 43),
        ask("GET", "/item/1", Host="example.org"),
        ask("POST", "/item/1", {"verdict": "same", "why": "x"}, Origin="http://example.org"),
    ):
        assert status == 403 and "Given" not in text
    assert kept(settings, "look") == [] and kept(settings, "verdict") == []


def test_a_verdict_given_on_the_page_binds_and_a_refused_one_keeps_what_was_written(served):
    settings, _, ask = served
    status, headers, _ = ask("POST", "/item/1", {"verdict": "same", "why": "one certificate"})
    assert status == 303 and "judged same" in ask("GET", "/")[2] and "judged same" not in ask("GET", "/")[2]
    ask("POST", "/item/3", {"verdict": "distinct", "why": "two certificates"})
    status, _, text = ask("POST", "/item/2", {"verdict": "same", "why": "look <again>"})
    assert status == 409 and "cannot be judged" in text and "look &lt;again&gt;" in text
    assert [row[:3] for row in kept(settings, "verdict")] == [(11, 21, "same"), (11, 31, "distinct")]


def test_the_page_says_that_a_night_runs(served):
    settings, _, ask = served
    descriptor = os.open(settings.writer_lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    status, _, text = ask("GET", "/item/1")
    os.close(descriptor)
    assert status == 503 and "being written" in text and "Given" not in text


# --- what gets out ------------------------------------------------------------------------------------------------
def test_the_report_counts_questions_and_verdicts_and_holds_no_key(desk_of):
    desk = desk_of(crowd(), queue_share=0.15)
    refresh(desk)
    judge(desk, 1, "distinct")
    judge(desk, 2, "same")
    judge(desk, 3, "defer")
    refresh(desk, "20261124T010000-cccc")
    told = quality.steward(desk.settings, "20261124T010000-cccc")
    kinds = {row["kind"]: row for row in told["kinds"]}
    counts = ("open_count", "deferred_count", "opened_count", "closed_count", "left_out_count", "days")
    assert [kinds["overlay"][name] for name in counts] == [0, 0, 0, 1, 0, None]
    # One judged, one deferred, two taken up in the free places; one student id is left out.
    assert [kinds["possible_match"][name] for name in counts] == [2, 1, 2, 1, 0, 3]
    assert [kinds["duplicate_id"][name] for name in counts] == [0, 0, 0, 0, 1, None]
    assert kinds["possible_match"]["share"] == "15.000%"
    assert [(row["who"], row["verdict"], row["verdict_count"]) for row in told["verdicts"]] == [
        (STEWARD, "defer", 1), (STEWARD, "distinct", 1), (STEWARD, "same", 1),
    ]  # fmt: skip
    for path in desk.settings.exchange.glob("steward_*.parquet"):
        assert not [name for name in pl.read_parquet_schema(path) if "key" in name or "item" in name]


def test_a_planted_identifier_is_shown_and_found_in_no_file_outside_the_vault(linked, tmp_path):
    settings = linked[0]
    shutil.copytree(settings.home, tmp_path / "state")
    shutil.copyfile(settings.vault_key_file, tmp_path / "vault.key")
    variables = {
        "P20W_HOME": str(tmp_path / "state"),
        "P20W_TRUTH": str(tmp_path / "truth"),
        "P20W_VAULT_KEY_FILE": str(tmp_path / "vault.key"),
    }
    own = load(variables)
    with open_vault(own) as con:
        a, b = (
            key
            for (key,) in con.execute(
                "SELECT record_key FROM identity_record WHERE surname = ? ORDER BY record_key", [CANARY["surname"]]
            ).fetchall()
        )
        number = con.execute("SELECT coalesce(max(item_id), 0) + 1 FROM queue_item").fetchone()[0]
        row = {"item_id": number, "kind": "possible_match", "record_key_a": a, "record_key_b": b, "score": 1.0}
        row |= {"reason": "scored", "state": "open", "because": "found", "build_id": BUILD, "opened_build": BUILD}
        queue.append(con, [row])

    def p20w(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "steward", *arguments, "--who", "demo_identity_steward"],
            env={**os.environ, **variables, "TMPDIR": str(tmp_path)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )

    shown = p20w("show", str(number))
    assert all(value in shown.stdout for value in CANARY.values())
    assert "Social Security number" in shown.stdout and "What the model adds" in shown.stdout
    said = p20w("same", str(number), "--why", "one certificate")
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(own.vault)]
    assert len(files) > 5
    for value in CANARY.values():
        assert value not in said.stdout + said.stderr + shown.stderr
        for path in files:
            content = path.read_bytes()
            assert value.encode() not in content and value.lower().encode() not in content, path.name
    assert (own.vault / "verdicts.digest").stat().st_mode & 0o777 == 0o600
