"""Which models and marts read an element, on small models made up for it."""

from __future__ import annotations

import pytest

from pipelines.reports.lineage import Lineage

MODELS = {
    ("staging", "stg_thing"): "select upper(accepted.code) as code, accepted.days, accepted.note, accepted.source_id, "
    'accepted.begin_date, accepted.record_key from "w"."accepted"."thing" as accepted',
    ("core", "fct_thing"): "select record_key, code, cast(round(days * 1000) as bigint) as thousandths, "
    "note as remark, source_id, extract(year from begin_date) as school_year "
    'from "w"."staging"."stg_thing"',
    ("core", "dim_place"): 'select place.place_key, place.source_id from "w"."registry"."place" as place',
    ("indicators", "ind_one"): "with counted as (select f.record_key, f.thousandths, p.place_key from "
    '"w"."core"."fct_thing" as f left join "w"."core"."dim_place" as p on p.source_id = f.source_id '
    "where f.code = 'A') select 'one' as indicator_code, thousandths >= 500 as is_in_numerator, place_key from counted",
    ("indicators", "ind_two"): "select 'two' as indicator_code, true as is_in_numerator, 1 as place_key "
    'from "w"."core"."fct_thing" where school_year = 2020',
    (
        "cubes",
        "cube",
    ): "select indicator_code, place_key, count(*) as people, sum(case when is_in_numerator then 1 end) "
    'as hits from (select indicator_code, place_key, is_in_numerator from "w"."indicators"."ind_one" union all select '
    'indicator_code, place_key, is_in_numerator from "w"."indicators"."ind_two") as both group by 1, 2',
    ("marts", "mart_one"): 'select people, hits from "w"."cubes"."cube" where indicator_code = \'one\'',
    ("marts", "mart_two"): 'select people, hits from "w"."cubes"."cube" where indicator_code in (\'two\')',
    ("marts", "mart_remark"): 'select remark from "w"."core"."fct_thing"',
    ("linkage", "int_linkage__key"): 'select record_key, substr(surname, 1, 1) as k from "v"."main"."identity_record"',
}


@pytest.fixture(scope="module")
def lineage() -> Lineage:
    return Lineage(MODELS)


def test_an_expression_is_a_use_and_its_result_is_followed_under_its_new_name(lineage):
    assert lineage.readers([("thing", "days")]) == (["fct_thing", "ind_one", "cube"], ["mart_one"])


def test_a_filter_decides_on_rows_hence_on_what_is_counted(lineage):
    assert lineage.readers([("thing", "code")]) == (["ind_one"], ["mart_one"])


def test_carrying_a_column_on_is_no_use_but_publishing_it_is(lineage):
    assert lineage.readers([("thing", "note")]) == ([], ["mart_remark"])


def test_parts_of_a_union_are_kept_apart_by_their_constants(lineage):
    assert lineage.readers([("thing", "begin_date")]) == (["fct_thing", "ind_two"], ["mart_two"])


def test_a_key_that_asks_is_used_and_decides_on_what_the_lookup_gives(lineage):
    models, marts = lineage.readers([("thing", "source_id")])
    assert models == ["ind_one", "cube"] and marts == ["mart_one"]


def test_linkage_reads_identifiers_in_the_vault(lineage):
    assert lineage.readers([("identity_record", "surname")]) == (["int_linkage__key"], [])
    assert lineage.readers([("identity_record", "given_name")]) == ([], [])


def test_names_that_are_equal_in_another_table_are_not_mixed_up():
    models = {
        ("core", "fct_a"): 'select note from "w"."accepted"."a"',
        ("core", "fct_b"): 'select note from "w"."accepted"."b"',
        ("marts", "mart_a"): 'select upper(a.note) as note from "w"."core"."fct_a" as a',
    }
    assert Lineage(models).readers([("b", "note")]) == ([], [])
    assert Lineage(models).readers([("a", "note")]) == ([], ["mart_a"])


@pytest.mark.parametrize(
    "sql",
    [
        'select t.k from "w"."core"."s" as t where exists (select 1 from "w"."accepted"."a" as a where a.note = t.k)',
        'select t.k from "w"."core"."spine" as t where t.k in (select note from "w"."accepted"."a")',
        'select (select max(a.note) from "w"."accepted"."a" as a) as k',
        'select row_number() over (order by a.note) as k from "w"."accepted"."a" as a',
        'select a.x, count(*) as k from "w"."accepted"."a" as a group by a.x having max(a.note) > 1',
        'select t.k, a.note as k from "w"."core"."spine" as t left join "w"."accepted"."a" as a on a.i = t.k',
        'with c as (select * from "w"."accepted"."a"), d as (select *, note as n from c) select n as k from d',
        'select k from (select note as k from "w"."accepted"."a" union all select 1 as k) as u',
        'select count(*) as k from (select note, count(*) as n from "w"."accepted"."a" group by note) as u where n > 1',
        'select s.k from "w"."core"."spine" as s inner join "w"."accepted"."a" as a on a.i = s.k and a.note > s.k',
    ],
)
def test_no_way_through_a_statement_is_lost(sql):
    # `select *` of a table that arrives cannot be unfolded here: models name its columns, as staging does.
    models = {("marts", "mart_x"): sql.replace("(select * from", "(select note from")}
    assert Lineage(models).readers([("a", "note")])[1] == ["mart_x"]


def test_the_table_that_disclosure_control_writes_follows_from_the_cells():
    models = {
        ("cubes", "cube"): 'select sum(a.days) as denominator_count from "w"."accepted"."a" as a',
        ("core", "dim"): 'select a.city from "w"."accepted"."place" as a',
        ("marts", "mart_x"): 'select rate, city from "w"."protected"."official"',
    }
    lineage = Lineage(models, {("protected", "official"): [("cubes", "cube"), ("core", "dim")]})
    assert lineage.readers([("a", "days")])[1] == ["mart_x"] and lineage.readers([("place", "city")])[1] == ["mart_x"]


def test_without_a_night_the_inventory_says_what_to_do(home):
    with pytest.raises(FileNotFoundError, match="run the night"):
        Lineage.of_night(home)
