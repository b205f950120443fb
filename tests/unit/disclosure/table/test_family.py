"""What family.yml and a table of counts may say, and what is refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from table_auditor import small_table

from pipelines.disclosure.table.family import (
    HIDDEN,
    cell_frame,
    read_counts,
    read_family,
    read_protected,
    write_table,
)
from pipelines.errors import P20wError

HEAD = "count: n\nminimum: 5\nzeros: hideable\n"
FLAT = "  - {column: place, total: All}\n"
NESTED = "  - {column: school, total: State, parents: [district, county]}\n"
LISTS = "  - {column: group, total: everyone, breakdowns: [[f, m], [a, b, c]]}\n"


def family(folder: Path, dimensions: str, head: str = HEAD):
    (folder / "family.yml").write_text(f"{head}dimensions:\n{dimensions}")
    return read_family(folder / "family.yml")


def table(folder: Path, text: str) -> Path:
    (folder / "table.csv").write_text(text.replace(" ", "\n") + "\n")
    return folder / "table.csv"


def counts(folder: Path, dimensions: str, text: str):
    return read_counts(table(folder, text), family(folder, dimensions))


def by_code(made) -> dict:
    """Counts of a table of one dimension."""
    return dict(zip(made.dimensions[0].codes, made.value.tolist(), strict=True))


# --- family.yml -------------------------------------------------------------------------------------------


def test_what_a_family_says_is_read_as_text(tmp_path):
    made = family(
        tmp_path, "  - {column: grade, total: no, breakdowns: [[007, 8], [yes, 1.0]]}\n", HEAD + "interval: 4\n"
    )
    assert (made.count, made.minimum, made.zeros_shown, made.interval) == ("n", 5, False, 4)
    assert made.dimensions[0].total == "no"
    assert made.dimensions[0].breakdowns == (("007", "8"), ("yes", "1.0"))
    assert family(tmp_path, FLAT).interval == 3


@pytest.mark.parametrize(
    ("head", "dimensions", "says"),
    [
        (HEAD + "intervall: 3\n", FLAT, "unknown key intervall"),
        ("count: n\nzeros: shown\n", FLAT, "does not say minimum"),
        (HEAD + "count: m\n", FLAT, "says count twice"),
        (HEAD.replace("5", "five"), FLAT, "minimum must be a whole number"),
        (HEAD.replace("5", "0"), FLAT, "minimum must be a whole number"),
        (HEAD.replace("hideable", "hidden"), FLAT, "zeros must be shown or hideable"),
        (HEAD, "  - {column: place, total: All, parent: [x]}\n", "unknown key parent"),
        (HEAD, "  - {column: place, parents: [x]}\n", "does not say total"),
        (HEAD, "  - {column: place, total: All, parents: [x], breakdowns: [[a]]}\n", "has parents and breakdowns"),
        (HEAD, "  - {column: place, total: All, breakdowns: [[a, a]]}\n", "lists a twice"),
        (HEAD, "  - {column: place, total: All, breakdowns: [[a, All]]}\n", "no part of itself"),
        (HEAD, "  - {column: place, total: All, breakdowns: [[]]}\n", "breakdown 1 is empty"),
        (HEAD, "  - {column: place, total: All, breakdowns: [a, b]}\n", "must be a list"),
        (HEAD, FLAT + FLAT, "names the column place twice"),
        (HEAD, "  - {column: status, total: All}\n", "names the column status"),
        (HEAD, "  - {column: [a], total: All}\n", "must be one word"),
        (HEAD, "", "must be a list with at least one dimension"),
        (HEAD, "  - {column: place\n", "not YAML"),
    ],
)
def test_a_family_that_says_too_little_or_too_much_is_refused(tmp_path, head, dimensions, says):
    with pytest.raises(P20wError, match=says):
        family(tmp_path, dimensions, head)


# --- codes and sums ---------------------------------------------------------------------------------------


def test_absent_totals_are_computed_and_absent_combinations_are_zero(tmp_path):
    made = counts(tmp_path, FLAT + LISTS, "place,group,n A,f,3 A,m,4 A,a,5 A,c,2 B,f,1 B,b,1")
    place, group = made.dimensions
    assert place.codes == ["All", "A", "B"]
    assert group.codes == ["everyone", "f", "m", "a", "b", "c"]
    assert made.value.tolist() == [[8, 4, 4, 5, 1, 2], [7, 3, 4, 5, 0, 2], [1, 1, 0, 0, 1, 0]]


def test_schools_sum_to_districts_districts_to_counties_and_those_to_the_state(tmp_path):
    text = "school,district,county,n s1,d1,c1,3 s2,d1,c1,4 s3,d2,c1,5 s4,d3,c2,6 d1,,c1,7 c2,,,6"
    made = counts(tmp_path, NESTED, text)
    dimension = made.dimensions[0]
    assert dimension.codes == ["State", "c1", "c2", "d1", "d2", "d3", "s1", "s2", "s3", "s4"]
    assert dimension.level[:4] == ["total", "county", "county", "district"]
    assert by_code(made) == {
        **{"State": 18, "c1": 12, "c2": 6, "d1": 7, "d2": 5, "d3": 6},
        **{"s1": 3, "s2": 4, "s3": 5, "s4": 6},
    }
    parts = np.split(dimension.member, dimension.start[1:-1])
    relations = {
        (dimension.codes[total], *(dimension.codes[part] for part in each))
        for total, each in zip(dimension.parent, parts, strict=True)
    }
    assert relations == {
        ("d1", "s1", "s2"),
        ("d2", "s3"),
        ("d3", "s4"),
        ("c1", "d1", "d2"),
        ("c2", "d3"),
        ("State", "c1", "c2"),
    }


def test_columns_that_do_not_nest_are_each_summed_from_the_values(tmp_path):
    made = counts(tmp_path, NESTED, "school,district,county,n s1,d1,c1,3 s2,d1,c2,4 s3,d2,c2,5")
    assert by_code(made) == {"State": 12, "c1": 3, "c2": 9, "d1": 7, "d2": 5, "s1": 3, "s2": 4, "s3": 5}
    dimension = made.dimensions[0]
    totals = [r for r, parent in enumerate(dimension.parent) if parent == 0]
    assert len(totals) == 2  # the districts make the state, and so do the counties
    assert dimension.up == (["", "", "", "", "", "d1", "d1", "d2"], ["", "", "", "", "", "c1", "c2", "c2"])


def test_a_value_that_is_its_own_only_child_parent_is_one_cell(tmp_path):
    made = counts(tmp_path, NESTED, "school,district,county,n solo,solo,c1,3 s2,d1,c1,4 s3,d1,c1,5 solo,,c1,3")
    assert by_code(made) == {"State": 12, "c1": 12, "d1": 9, "s2": 4, "s3": 5, "solo": 3}
    with pytest.raises(P20wError, match="solo stands twice"):
        counts(tmp_path, NESTED, "school,district,county,n solo,solo,c1,3 s2,d1,c1,4 solo,,c1,2")


def test_a_parents_column_that_says_only_the_total_is_the_total(tmp_path):
    made = counts(tmp_path, NESTED, "school,district,county,n s1,d1,State,3 s2,d2,State,4 State,,State,7")
    assert made.dimensions[0].codes == ["State", "d1", "d2", "s1", "s2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s1,d1,c1,3 s1,d2,c1,4", "s1 has two parents in district, d1 and d2"),
        ("s1,d1,c1,3 s2,d1,,4", "s2 has no county"),
        ("s1,d1,c1,3 s2,,c1,4", "s2 has no district"),
        ("s1,s2,c1,3 s2,d1,c1,4", "s2 means two things"),
        ("d1,d1,c1,3 s2,d1,c1,4", "d1 means two things"),
        ("s1,d1,d1,3 s2,d2,d1,4", "d1 means two things"),
        ("State,d1,c1,3 s2,d1,c1,4", "State is the total"),
        ("s1,State,c1,3 s2,d1,c1,4", "State is the total"),
        ("State,,,3", "only totals"),
        (",d1,c1,3 s2,d1,c1,4", "school is empty"),
        ("s1,d1,c1,3 s1,d1,c1,3", "s1 stands twice in the same words"),
        ("s1,d1,c1,3 s1,d1,c1,4", "s1 stands twice, with n '3' and '4'"),
        ("s1,d1,c1,3 s2,d1,c1,-4", "'-4', which is not a whole number"),
        ("s1,d1,c1,3 s2,d1,c1,4.5", "'4.5', which is not a whole number"),
        ("s1,d1,c1,3 s2,d1,c1,many", "'many', which is not a whole number"),
        ("s1,d1,c1,3 s2,d1,c1,nan", "'nan', which is not a whole number"),
        ("s1,d1,c1,3 s2,d1,c1,", "s2 is empty"),
        ("s1,d1,c1,3 s2,d1,c1,4 d1,,c1,8", "school d1 is given as 8, but its parts sum to 7"),
        ("s1,d1,c1,3 s2,d1,c1,4 d1,,c9,7", "d1 says county c9"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_its_place(tmp_path, text, says):
    with pytest.raises(P20wError, match=says):
        counts(tmp_path, NESTED, "school,district,county,n " + text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("f,3 m,4 a,7 z,1", "the code z of group is in no breakdown"),
        ("f,3 m,4", "no row of breakdown 2"),
        ("f,3 m,4 a,5 b,1", "everyone"),
        ("f,3 m,4 a,7 everyone,8", "group everyone is given as 8, but its parts sum to 7"),
    ],
)
def test_breakdowns_must_be_complete_and_agree(tmp_path, text, says):
    with pytest.raises(P20wError, match=says):
        counts(tmp_path, LISTS, "group,n " + text)


def test_of_sums_that_do_not_hold_the_finest_is_named(tmp_path):
    both = "  - {column: school, total: State, parents: [district]}\n" + LISTS
    rows = [f"s{i},d{i // 2},{code},{10 + i}" for i in range(4) for code in ("f", "m")]
    rows += [f"s{i},d{i // 2},a,{20 + 2 * i + (i == 3)}" for i in range(4)]
    with pytest.raises(P20wError) as told:
        counts(tmp_path, both, " ".join(["school,district,group,n", *rows]))
    says = "school s3, group everyone is 26 by group f, m, but group a, b, c sum to 27 in the column n (and 2 more)"
    assert says in str(told.value)
    given = ["State,,f,47", "d0,,f,22"]  # one too many in d0, and so in the state
    with pytest.raises(P20wError, match="school d0, group f is given as 22, but its parts sum to 21 in the column n"):
        counts(tmp_path, both, " ".join(["school,district,group,n", *rows[:-1], "s3,d1,a,26", *given]))


def test_of_a_numerator_that_does_not_add_up_the_column_is_named(tmp_path):
    head = HEAD + "numerator: often\n"
    for rows, says in (
        (
            "A,f,30,10 A,m,20,13 A,a,50,23 A,everyone,50,24",
            "is given as 24, but its parts sum to 23 in the column often",
        ),
        ("A,f,30,10 A,m,20,13 A,a,50,24", "is 23 by group f, m, but group a, b, c sum to 24 in the column often"),
        ("A,f,30,10 A,m,20,13 A,a,51,23", "is 50 by group f, m, but group a, b, c sum to 51 in the column n"),
    ):
        with pytest.raises(P20wError, match=says):
            read_counts(table(tmp_path, "place,group,n,often " + rows), family(tmp_path, FLAT + LISTS, head))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("place,n,place A,3,A", "line 1: the header names the column place twice"),
        ("place,n,n A,3,4", "line 1: the header names the column n twice"),
        ("place,n,note A,3,x B,4,y,5 C,5,z,6", "line 3: the row has 4 fields, the header 3"),
        ('place,n,note A,3,"x\ny" B,4,y,5', "line 4: the row has 4 fields, the header 3"),
    ],
)
def test_nothing_of_a_row_is_dropped_silently(tmp_path, text, says):
    with pytest.raises(P20wError, match=says):
        counts(tmp_path, FLAT, text)
    assert by_code(counts(tmp_path, FLAT, "place,n,, A,3,, B,4,,")) == {"All": 7, "A": 3, "B": 4}


def test_a_count_that_is_too_large_is_refused_with_the_limit(tmp_path):
    with pytest.raises(P20wError, match="'1000000000001', which is above 1000000000000, the largest count"):
        counts(tmp_path, FLAT, "place,n A,1000000000001")


def test_a_missing_column_or_file_is_named(tmp_path):
    with pytest.raises(P20wError, match="no column district. It has: n, school"):
        counts(tmp_path, NESTED, "school,n s1,3")
    with pytest.raises(P20wError, match="There is no table"):
        read_counts(tmp_path / "none.csv", family(tmp_path, FLAT))
    with pytest.raises(P20wError, match="There is no family file"):
        read_family(tmp_path / "none.yml")
    (tmp_path / "broken.parquet").write_bytes(b"no")
    with pytest.raises(P20wError, match="could not be read as PARQUET"):
        read_counts(tmp_path / "broken.parquet", family(tmp_path, FLAT))
    with pytest.raises(P20wError, match="has no row"):
        counts(tmp_path, FLAT, "place,n")


# --- protected tables -------------------------------------------------------------------------------------


def test_what_is_written_is_read_again_with_the_same_family(tmp_path):
    rng = np.random.default_rng(4)
    for number in range(25):
        small = small_table(rng)
        small.hidden = set()
        path, declared = small.write(tmp_path)
        made_family = read_family(declared)
        made = read_counts(path, made_family)
        for cell in small.count:
            at = tuple(d.codes.index(code) for d, code in zip(made.dimensions, cell, strict=True))
            assert made.value[at] == small.count[cell]
        frame = cell_frame(made.dimensions).with_columns(
            pl.Series("people", made.value.ravel()), status=pl.lit("shown")
        )
        out = tmp_path / ("out.parquet" if number % 2 else "out.csv")
        write_table(frame.sample(fraction=1, shuffle=True, seed=number), out)
        again = read_protected(out, made_family)
        assert [d.codes for d in again.dimensions] == [d.codes for d in made.dimensions]
        assert (again.value == made.value).all()


def test_hidden_and_lacking_cells_of_a_protected_table(tmp_path):
    text = "place,group,n,status A,f,,hidden A,m,4,shown A,a,,hidden A,b,3,shown B,f,6,shown B,a,6,shown"
    for zeros, lacking in (("hideable", HIDDEN), ("shown", 0)):
        made = read_protected(table(tmp_path, text), family(tmp_path, FLAT + LISTS, HEAD.replace("hideable", zeros)))
        value = {
            (a, b): made.value[i, j]
            for i, a in enumerate(made.dimensions[0].codes)
            for j, b in enumerate(made.dimensions[1].codes)
        }
        assert value["A", "f"] == value["A", "a"] == HIDDEN
        assert value["A", "c"] == value["B", "m"] == lacking
        assert value["A", "everyone"] == value["All", "f"] == HIDDEN
        assert value["B", "everyone"] == (HIDDEN if zeros == "hideable" else 6)
        assert value["All", "m"] == (HIDDEN if zeros == "hideable" else 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("place,n,status A,3,hidden B,4,shown", "marked hidden but carry a count"),
        ("place,n,status A,,shown B,4,shown", "place A is empty"),
        ("place,n,status A,*,shown B,4,shown", "which is not a whole number of 0 or more. A hidden count must be left"),
        ("place,n A,<10 B,4", "'<10', which is not a whole number of 0 or more. A hidden count must be left empty"),
        ("place,n,status A,3,secret B,4,shown", "must say shown or hidden"),
        ("place,n,status A,3,shown B,4,shown All,8,shown", "place All is 8, but place A, B sum to 7"),
    ],
)
def test_a_protected_table_that_contradicts_itself_is_refused(tmp_path, text, says):
    with pytest.raises(P20wError, match=says):
        read_protected(table(tmp_path, text), family(tmp_path, FLAT))


def test_where_rows_of_hidden_cells_are_lacking_they_are_asked_for(tmp_path):
    asks = "add them: status hidden, count empty"
    with pytest.raises(P20wError, match=rf"place All is 47, but place b, c sum to 42.*{asks}\.$"):
        read_protected(table(tmp_path, "place,n b,20 c,22 All,47"), family(tmp_path, FLAT))
    shown = HEAD.replace("hideable", "shown")
    with pytest.raises(P20wError, match=rf"group everyone is 47, but group a, b, c sum to 42.*{asks}: group c\.$"):
        read_protected(table(tmp_path, "group,n f,20 m,27 a,20 b,22 everyone,47"), family(tmp_path, LISTS, shown))


def test_the_result_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(P20wError, match="must end with .csv or .parquet"):
        write_table(pl.DataFrame({"a": [1]}), tmp_path / "out.xlsx")
    with pytest.raises(P20wError, match="could not be written"):
        write_table(pl.DataFrame({"a": [1]}), tmp_path / "none" / "out.csv")
    assert not list(tmp_path.iterdir())
