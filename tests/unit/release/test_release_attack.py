"""The attack on a candidate at the gate: time enough to be one, and a line that says what it did not get to know."""

from __future__ import annotations

import sys

import pytest

from pipelines import cli
from pipelines import settings as environment
from pipelines.disclosure.stranger.attack import Finding, ReleaseAttack
from pipelines.errors import P20wError
from pipelines.quality import check_result
from pipelines.release import attack, candidate, gate

BUILD = "20261121T191500-3fa2"


@pytest.mark.parametrize("text", ["0", "-60", "abc", "4.9", "nan", "inf"])
def test_an_attack_without_time_is_an_error(text):
    with pytest.raises(P20wError, match=r"P20W_ATTACK_SECONDS is '.*' *: give a number of seconds, 5 or more"):
        environment.load({"P20W_ATTACK_SECONDS": text})


def test_an_attack_may_have_five_seconds_or_more():
    assert environment.load({"P20W_ATTACK_SECONDS": "5"}).attack_seconds == 5
    assert environment.load({"P20W_ATTACK_SECONDS": ""}).attack_seconds == environment.load({}).attack_seconds == 120


def test_the_command_says_so_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("P20W_ATTACK_SECONDS", "abc")
    monkeypatch.setattr(sys, "argv", ["p20w", "attack"])
    environment.settings.cache_clear()
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        environment.settings.cache_clear()
    said = "".join(capsys.readouterr())
    assert ended.value.code == 2 and "P20W_ATTACK_SECONDS is 'abc'" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("result", "status", "count", "words"),
    [
        (ReleaseAttack(40, 9, 2, [], 0, 1.0), "pass", 0, "No finding among 40 figures."),
        (ReleaseAttack(40, 9, 2, [], 7, 60.0), "warn", 7, "Of 7 hidden values the time given did not suffice"),
        (ReleaseAttack(40, 9, 2, [], 0, 1.0, past=(Finding("joined", "f"),)), "warn", 1, "Earlier releases give 1"),
        (
            ReleaseAttack(40, 9, 2, [], 0, 1.0, likely=(Finding("rerun", "f"),)),
            "warn",
            1,
            "runs the suppressor again 1",
        ),
        (ReleaseAttack(40, 9, 2, [Finding("bounds", "f is 2")], 7, 60.0), "fail", 1, "1 findings"),
    ],
)
def test_the_gate_s_line_warns_of_what_was_not_settled(installation, monkeypatch, result, status, count, words):
    candidate.build_candidate(installation.settings, BUILD)
    monkeypatch.setattr(attack, "attack_release", lambda *_: result)
    attack.attack_candidate(installation.settings, BUILD)
    line = check_result.read(installation.settings, BUILD).filter(check_id=gate.ATTACK)
    assert line.select("status", "failing_count").rows() == [(status, count)]
    assert words in line["message"][0] and "f is 2" not in line["message"][0]
