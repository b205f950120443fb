"""Building a release again: the code, deliveries and identity log of then, or a sentence that says what differs."""

from __future__ import annotations

import re
import shutil
from datetime import date

import pytest
from release_home import keep_delivery

from pipelines.identity.vault import TABLES, open_vault
from pipelines.release import candidate, gate, metadata, publish
from pipelines.release.rebuild import IDENTITY_LOG, rebuild

FIRST, SECOND = "20261121T191500-3fa2", "20261216T020000-aaaa"
DAY_1, DAY_2, DAY_3 = date(2026, 11, 21), date(2026, 12, 16), date(2027, 6, 16)


def test_rebuild_gives_the_same_bytes_from_kept_deliveries(installation):
    settings = installation.settings
    keep_delivery(settings, "d1")
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("graduation", 2023): 1, ("graduation", 2025): 90, ("course", 2024): 99})
    second = installation.publish(installation.night(SECOND), DAY_2)
    kept = settings.home / "kept.duckdb"
    shutil.copyfile(settings.warehouse_file, kept)

    def run_pipeline(there, build_id):
        assert (there.landing / "lea_1" / "k12_annual" / "2024" / "enrollment.csv").read_text() == "a\n1\n"
        shutil.copyfile(kept, there.warehouse_file)
        candidate.build_candidate(there, build_id)

    # Decided again later, otherwise: what the release was made by stays.
    gate.decide(settings, SECOND, candidate.Candidate("0" * 64, {}, ()), DAY_3)
    assert rebuild(settings, second.release_id, run_pipeline) == []

    def run_other_pipeline(there, build_id):
        run_pipeline(there, build_id)
        (there.candidate / "data" / "mart_availability.parquet").unlink()

    differences = rebuild(settings, second.release_id, run_other_pipeline)
    assert any("data/mart_availability.parquet" in line for line in differences)


def test_rebuild_says_when_a_delivery_is_no_longer_kept(installation):
    keep_delivery(installation.settings, "d1")
    first = installation.publish(installation.night(FIRST), DAY_1)
    shutil.rmtree(installation.settings.landing / ".received" / "d1")
    with pytest.raises(publish.ReleaseError, match="Delivery d1 is no longer kept"):
        rebuild(installation.settings, first.release_id, never)


@pytest.mark.parametrize(
    ("made_by", "told"),
    [
        ("0a1b2c", "Check out commit 0a1b2c and run `make setup`"),
        ("0a1b2c+modified", "changed files on top of commit 0a1b2c"),
        ("not a checkout", "Install the very package"),
    ],
)
def test_rebuild_by_other_code_is_refused_with_what_to_do(installation, monkeypatch, made_by, told):
    monkeypatch.setattr(metadata, "git_commit", lambda root: made_by)
    first = installation.publish(installation.night(FIRST), DAY_1)
    monkeypatch.setattr(metadata, "code_digest", lambda root: "f" * 64)
    with pytest.raises(publish.ReleaseError, match=told.replace("+", r"\+")):
        rebuild(installation.settings, first.release_id, never)


def test_rebuild_with_other_registers_is_refused_and_names_them(installation):
    first = installation.publish(installation.night(FIRST), DAY_1)
    installation.seed("policy/shared_core.csv", [{"table_name": "dim_person", "reason": "all numbers"}])
    with pytest.raises(publish.ReleaseError, match=r"policy/shared_core\.csv changed"):
        rebuild(installation.settings, first.release_id, never)


def test_the_digest_of_the_code_follows_code_and_models_and_nothing_else(tmp_path):
    for name in ("pipelines/a.py", "schemas/k12/b.py", "dbt_project/models/c.sql", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    assert metadata.git_commit(tmp_path) == "not a checkout"
    before = metadata.code_digest(tmp_path)
    (tmp_path / "README.md").write_text("2")
    (tmp_path / "dbt_project" / "target").mkdir()
    (tmp_path / "dbt_project" / "target" / "c.sql").write_text("2")
    assert metadata.code_digest(tmp_path) == before
    for name in ("pipelines/a.py", "schemas/k12/b.py", "dbt_project/models/c.sql"):
        (tmp_path / name).write_text("2")
        assert metadata.code_digest(tmp_path) != before
        (tmp_path / name).write_text("1")
    assert metadata.code_digest(tmp_path) == before


LATER_MERGE = """
INSERT INTO vault.identity_record (record_key, sector, first_build) VALUES (1, 'k12', '{first}'), (2, 'k12', '{first}'),
    (3, 'workforce', '{second}');
INSERT INTO vault.person VALUES (10, 1, '{first}'), (20, 2, '{first}'), (30, 3, '{second}');
INSERT INTO vault.person_link VALUES (1, 10, 'r', 1, '{first}', 1), (2, 20, 'r', 1, '{first}', 2),
    (3, 30, 'r', 1, '{second}', 3), (2, 10, 'r', 1, '{second}', 4);
INSERT INTO vault.person_event VALUES ('{first}', 'mint', 10, NULL, 'nightly', ''),
    ('{second}', 'merge', 10, 20, 'nightly', '');
INSERT INTO vault.person_redirect VALUES (20, 10, '{second}');
INSERT INTO vault.verdict VALUES (1, 2, 'same', 'steward', 'seen', TIMESTAMP '2026-12-01 10:00:00'),
    (1, 3, 'distinct', 'steward', 'seen', TIMESTAMP '2026-11-01 10:00:00');
"""
REGISTRY = (
    "SELECT record_key, arg_max(person_key, link_number) FROM vault.person_link GROUP BY ALL ORDER BY ALL",
    "SELECT person_key FROM vault.person ORDER BY ALL",
    "SELECT old_person_key, person_key FROM vault.person_redirect",
    "SELECT record_key FROM vault.identity_record ORDER BY ALL",
    "SELECT event FROM vault.person_event ORDER BY ALL",
    "SELECT verdict FROM vault.verdict ORDER BY ALL",
)


def registry(settings) -> list[list[tuple]]:
    with open_vault(settings) as con:
        return [con.execute(query).fetchall() for query in REGISTRY]


def test_a_later_merge_does_not_change_the_people_of_an_older_release(installation):
    settings = installation.settings
    settings.home.mkdir(exist_ok=True)
    keep_delivery(settings, "d1")
    release_id = installation.publish(installation.night(FIRST), DAY_1).release_id
    with open_vault(settings) as con:
        con.execute(LATER_MERGE.format(first=FIRST, second=SECOND))
    now = registry(settings)
    seen = []

    def run_pipeline(there, build_id):
        seen.append(registry(there))
        shutil.copyfile(settings.warehouse_file, there.warehouse_file)
        candidate.build_candidate(there, build_id)

    assert rebuild(settings, release_id, run_pipeline) == []
    assert seen == [[[(1, 10), (2, 20)], [(10,), (20,)], [], [(1,), (2,)], [("mint",)], [("distinct",)]]]
    assert registry(settings) == now, "the real vault is as it was"
    assert now[0] == [(1, 10), (2, 10), (3, 30)]


def test_every_table_of_the_vault_that_tells_builds_apart_is_cut_but_those_no_number_reads():
    told = {table for table, columns in TABLES.items() if re.search(r"\b\w*build\w*\b", columns)}
    derived = {"present_link"}  # emptied by forget_derived, and made anew from what was cut
    assert told == set(IDENTITY_LOG) | derived | {"bad_row", "exception_text", "judgement"}


def never(there, build_id):
    raise AssertionError("the night must not run")
