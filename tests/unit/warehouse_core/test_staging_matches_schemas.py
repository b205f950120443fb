"""Staging models say what schemas/ declares: both directions of the difference, without a dbt call.

Belongs here: files of dbt_project compared with collections and seeds. Does not: what the models compute, which their
unit tests (dbt) show.
"""

from __future__ import annotations

import csv
import re

import pytest
import yaml

from pipelines.settings import ROOT
from schemas import collections
from schemas.elements import ELEMENTS

MODELS = ROOT / "dbt_project" / "models"


def staging(name: str, suffix: str):
    return MODELS / "staging" / name.split("__", 1)[0] / f"stg_{name}.{suffix}"


def described_columns(path) -> list[str]:
    return [column["name"] for column in yaml.safe_load(path.read_text())["models"][0]["columns"]]


@pytest.mark.parametrize("name", collections())
def test_a_staging_model_has_exactly_the_accepted_columns_of_its_collection(name):
    accepted = {column for column, _ in collections()[name].accepted_columns()}
    described = set(described_columns(staging(name, "yml")))
    selected = set(re.findall(r"(?:accepted\.|\sas )(\w+),?$", staging(name, "sql").read_text(), flags=re.MULTILINE))
    selected.discard("accepted")
    assert described == accepted, f"only described {described - accepted}, only accepted {accepted - described}"
    assert selected == accepted, f"only selected {selected - accepted}, only accepted {accepted - selected}"


@pytest.mark.parametrize("name", collections())
def test_every_coded_column_of_a_collection_goes_through_the_crosswalk(name):
    text = staging(name, "sql").read_text()
    coded = {
        (ELEMENTS[column].code_set, column)
        for column, _ in collections()[name].accepted_columns()
        if column in ELEMENTS and ELEMENTS[column].code_set
    }
    assert set(re.findall(r"standard_code\('(\w+)', '(\w+)'\)", text)) == coded


def test_every_collection_is_a_source_and_every_source_a_collection():
    sources = yaml.safe_load((MODELS / "sources.yml").read_text())["sources"]
    accepted = next(source for source in sources if source["name"] == "accepted")
    tables = {table["name"]: table for table in accepted["tables"]}
    assert set(tables) == set(collections())
    for name, table in tables.items():
        assert table["meta"]["dagster"]["asset_key"] == ["accepted", name]


def test_a_shared_model_uses_no_sql_that_only_one_engine_reads():
    forbidden = re.compile(r"\b(qualify|pivot|asof|columns\s*\(|unnest|struct_pack|struct\s*\(|list_agg)\b", re.I)
    for path in [*MODELS.glob("core/*.sql"), *(staging(name, "sql") for name in collections())]:
        statement = re.sub(r"--.*", "", path.read_text())
        assert not forbidden.search(statement), f"{path.name} uses {forbidden.search(statement).group()}"


def test_a_crosswalk_gives_a_local_code_one_answer():
    with (ROOT / "seeds" / "crosswalks" / "code.csv").open(newline="") as handle:
        keys = [(row["code_set"], row["package"], row["local_code"]) for row in csv.DictReader(handle)]
    assert len(keys) == len(set(keys))


def test_the_policy_leads_to_standard_codes_that_exist():
    with (ROOT / "seeds" / "reference" / "code_set.csv").open(newline="") as handle:
        codes = {(row["code_set"], row["code"]) for row in csv.DictReader(handle)}
    with (ROOT / "seeds" / "policy" / "group_membership.csv").open(newline="") as handle:
        policy = list(csv.DictReader(handle))
    for row in policy:
        element = ELEMENTS.get(row["element"])
        if element and element.code_set and row["value"] != "reported_without":
            assert (element.code_set, row["value"]) in codes, row
