"""Pages of a release: which rows stand where, and what explains them."""

from __future__ import annotations

import re

import polars as pl
import pytest
from made_up_release import BUILD, LEA, SCHOOL, STATE, check, gate, row, write_tables

from pipelines.quality import check_result
from pipelines.reports import charts, site


@pytest.fixture
def no_drawing(monkeypatch):
    monkeypatch.setattr(charts, "_drawn", lambda kind, points, label, is_rate, cache: f"<svg>{points}</svg>")


@pytest.fixture
def built(home, tmp_path, no_drawing):
    """Text of each page of the made-up release by its path."""

    def build(rows=None, decision=None):
        folder = tmp_path / "site"
        site.build_site(home, write_tables(tmp_path / "data", rows), folder, decision or gate())
        return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.html")}

    return build


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_a_page_shows_the_three_newest_known_years_beside_district_and_state(built):
    page = built()["organizations/school-00010001.html"]
    section = page[page.index('id="college_going_fall"') : page.index('id="employment_year_1_after_high_school"')]
    header = section[section.index("<thead>") : section.index("</thead>")]
    assert re.findall(r"20\d\d–\d\d", header) == ["2022–23", "2023–24", "2024–25"] * 3
    assert header.index("First School") < header.index("First District") < header.index("State of Examples")
    assert "Not known yet" in section and "2025–26" in section


def test_pages_link_up_and_down(built):
    pages = built()
    assert 'href="../organizations/lea-0001.html"' in pages["organizations/school-00010001.html"]
    assert 'href="../organizations/state-state.html"' in pages["organizations/school-00010001.html"]
    assert 'href="../organizations/school-00010001.html"' in pages["organizations/lea-0001.html"]
    assert 'href="../organizations/lea-0002.html"' in pages["organizations/state-state.html"]
    assert all(f'href="{path}"' in pages["organizations.html"] for path in pages if path.startswith("organizations/"))


def test_groups_stand_in_the_order_of_the_register_without_those_that_nobody_is_in(built):
    page = text(built()["organizations/lea-0001.html"])
    assert page.index("Gender") < page.index("Female") < page.index("Male") < page.index("English learners")
    assert "Nonbinary" not in page  # no_students in every year and place


def test_a_mark_is_explained_where_it_stands_and_only_there(built):
    pages = built()
    page = pages["organizations/lea-0001.html"]
    absence = text(page[page.index('id="chronic_absenteeism"') : page.index('id="four_year_graduation"')])
    for sentence in ("The group is small", "Incomplete: a delivery", "Withdrawn at a revision", "so a range is shown"):
        assert sentence in absence
    graduation = text(page[page.index('id="four_year_graduation"') : page.index('id="college_going_fall"')])
    assert "The group is small" not in graduation


def test_no_page_shows_a_code_where_there_is_a_title(built):
    for path, page in built().items():
        visible = re.sub(r"<code>.*?</code>", "", page, flags=re.S)
        assert not re.search(r"[a-z0-9]+_[a-z0-9_]+", text(visible)), (path, re.search(r"\S+_\S+", text(visible)))


def test_a_waiver_prints_on_every_page_with_an_indicator_that_it_touches(built):
    for path, page in built().items():
        touched = 'id="chronic_absenteeism"' in page
        assert ("Published under a waiver" in page) == touched, path
        if touched:
            assert page.count("another system. Effect on numbers: Absence may be too low") == 1
            assert "First District" in page and "2027-06-30" in page


def test_a_waiver_of_a_check_that_names_families_touches_those_only(home, built):
    rows = [check("expectation.range.rate", "expectation", "error", "fail", family="four_year_graduation")]
    check_result.record(home, BUILD, "expectation", rows)
    waiver = {**gate()["waivers"][0], "check_id": "expectation.range.rate", "collection": "", "submitter": ""}
    page = built(decision=gate(waivers=[waiver]))["index.html"]
    start = page.index('id="four_year_graduation"')
    assert page.count("Published under a waiver") == 1 and page.index("Published under a waiver") > start


def test_a_held_indicator_says_so(built):
    page = built()["organizations/state-state.html"]
    section = page[page.index('id="four_year_graduation"') : page.index('id="college_going_fall"')]
    assert "Not brought up to date in this release. A delivery is missing or was refused." in section


def test_a_hidden_value_breaks_the_line_and_never_reaches_the_chart(built):
    page = built()["index.html"]
    section = page[page.index('id="chronic_absenteeism"') : page.index('id="four_year_graduation"')]
    assert "('State of Examples', '2023–24', None)" in section and "('State of Examples', '2024–25', 0.5)" in section


def test_subjects_of_several_institutions_do_not_overwrite_each_other(built):
    places = [("institution", f"0099990{n}", f"College {n}", None, None) for n in (1, 2)]
    rows = [row(STATE, "chronic_absenteeism", 2026)]
    rows += [row(each, "course_completion", 2026, subject_code="AAA", rate=n / 10) for n, each in enumerate(places, 1)]
    page = text(built(rows)["index.html"])
    assert "College 1: AAA 10.0%" in page and "College 2: AAA 20.0%" in page


def test_a_closed_school_shows_its_own_last_years(built):
    rows = [row(STATE, "chronic_absenteeism", year) for year in range(2019, 2027)]
    rows += [row(LEA, "chronic_absenteeism", 2026), row(SCHOOL, "chronic_absenteeism", 2019)]
    header = built(rows)["organizations/school-00010001.html"]
    assert "2018–19" in header and "2025–26</th>" not in header


def test_names_are_escaped(built):
    strange = ("school", "00010002", "<b>Bold & Co</b>", "0001", "First District")
    rows = [row(STATE, "chronic_absenteeism", 2026), row(strange, "chronic_absenteeism", 2026)]
    assert "<b>Bold" not in built(rows)["organizations/school-00010002.html"]


def test_a_chart_is_taken_from_the_cache_and_keeps_its_own_label(tmp_path, monkeypatch):
    points = [("A & B", "2024–25", 0.1), ("A & B", "2025–26", None)]
    first = charts.trend(points, "One <label>", True, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    second = charts.trend(points, "Another", True, tmp_path)
    assert 'aria-label="One &lt;label&gt;"' in first and 'aria-label="Another"' in second
    assert first.partition(">")[2] == second.partition(">")[2] and first.count("role=") == 1


def test_a_chart_with_more_series_than_shapes_is_refused():
    with pytest.raises(ValueError, match="at most"):
        charts.trend([(str(n), "2025–26", 0.1) for n in range(20)], "Too many", True)


def test_groups_of_which_nothing_can_be_shown_are_named_instead_of_listed(built):
    hidden = {"breakdown_code": "gender", "group_code": "female"}
    rows = [row(STATE, "chronic_absenteeism", 2026), row(STATE, "chronic_absenteeism", 2026, "suppressed", **hidden)]
    page = built(rows)["organizations/state-state.html"]
    assert "No figure by student group can be shown." in page and "by student group</summary>" not in page


def test_the_overview_says_how_many_rows_it_leaves_out(built):
    rows = [row(STATE, "program_participation", 2026, subject_code=f"s{number:02}") for number in range(25)]
    assert "5 more are on" in built(rows)["index.html"]


def test_files_of_third_parties_are_labeled_with_license_and_what_they_are(home, tmp_path, no_drawing):
    folder, rows = tmp_path / "site", [row(STATE, "chronic_absenteeism", 2026)]
    rows.append(
        row(("institution", "OU", "Open University", None, None), "course_completion", 2014, subject_code="AAA")
    )
    data = write_tables(tmp_path / "data", rows)
    pl.DataFrame(
        [("public_oulad", "postsecondary__course_result", "course_completion", 2014, "available", "")],
        schema=["source", "collection", "indicator_code", "school_year", "status", "missing"],
        orient="row",
    ).write_parquet(data / "mart_availability.parquet")
    site.build_site(home, data, folder, gate())
    for name in ("index.html", "organizations/institution-ou.html"):
        page = (folder / name).read_text()
        assert "not a population of the United States." in page and "CC BY 4.0" in page, name
    assert "Not this state" not in (folder / "organizations" / "state-state.html").read_text()


def test_indicators_without_figures_stand_last_by_name_only(built):
    page = text(built([row(STATE, "chronic_absenteeism", 2026)])["index.html"])
    last = page.index("Without figures in this release")
    assert page.index("Kindergarten readiness") > last > page.index("Chronic absenteeism")
