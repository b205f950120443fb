"""The registers that schemas read agree with each other."""

import re

import pytest

from pipelines.intake.readers import transforms
from pipelines.intake.readers.layouts import entries
from pipelines.intake.readers.xml_file import parse_path
from schemas import collections
from schemas.elements import ELEMENTS, SEEDS, code_sets, local_codes, read_elements, read_rows

IDENTITY_FIELDS = {
    "student_id_state",
    "local_id",
    "ssn",
    "given_name",
    "middle_name",
    "surname",
    "name_suffix",
    "birth_date",
    "birth_month",
    "sex_code",
    "postal_code",
}
KEY_MAPS = {"", "employer", "provider", "school", "lea", "institution", "organization"}


def test_every_element_has_a_definition_and_known_classes():
    for element in ELEMENTS.values():
        assert element.definition.endswith("."), element.name
        assert element.identity_field in IDENTITY_FIELDS | {""}, element.name
        assert element.key_map in KEY_MAPS, element.name
        assert re.fullmatch(r"(\d{6})?", element.ceds_id), element.name


def test_every_code_element_has_a_code_set_with_codes():
    used = {element.code_set for element in ELEMENTS.values() if element.code_set}
    assert used == set(code_sets())


def test_every_element_is_used_by_a_collection():
    used = {
        column
        for collection in collections().values()
        for column in (*collection.columns, *collection.as_tokens().columns)
    }
    assert used == set(ELEMENTS)


def test_an_element_declared_twice_is_an_error(tmp_path):
    (tmp_path / "reference").mkdir()
    header = "element,dtype,definition,ceds_id,privacy_class,identity_field,key_map,code_set\n"
    line = "city,text,City.,,open,,,\n"
    (tmp_path / "reference" / "element.csv").write_text(header + line + line)
    with pytest.raises(ValueError, match="city twice"):
        read_elements(tmp_path)


def test_every_local_code_leads_to_a_standard_code():
    for (code_set, package), codes in local_codes().items():
        strangers = set(codes.values()) - code_sets()[code_set]
        assert not strangers, (code_set, package, strangers)


def test_no_local_code_stands_twice_and_every_package_is_registered():
    rows = read_rows(SEEDS / "crosswalks" / "code.csv")
    keys = [(row["code_set"], row["package"], row["local_code"]) for row in rows]
    assert len(keys) == len(set(keys))
    assert {row["package"] for row in rows} <= {entry.package for entry in entries(SEEDS)}


def test_every_layout_gives_every_element_its_collection_requires():
    for entry in entries(SEEDS):
        missing = entry.required_elements() - {line.element for line in entry.lines}
        assert not missing, (entry.layout, missing)


def test_every_transform_and_path_of_the_layouts_is_understood():
    import polars as pl

    for entry in entries(SEEDS):
        for line in entry.lines:
            transforms.apply(pl.col("x"), line.transform)
            if entry.format == "xml":
                assert all(parse_path(path) for path in line.alternatives)
            if entry.format == "fixed_width" and line.constant is None:
                assert re.fullmatch(r"\d+-\d+", line.source), (entry.layout, line)


def test_every_layout_is_used_and_files_of_one_kind_share_their_encoding():
    used = {entry.layout for entry in entries(SEEDS)}
    assert used == {row["layout"] for row in read_rows(SEEDS / "crosswalks" / "layout.csv")}
    shape = {}
    for entry in entries(SEEDS):
        kind = (entry.package, entry.file_pattern)
        assert shape.setdefault(kind, (entry.format, entry.encoding, entry.delimiter)) == (
            entry.format,
            entry.encoding,
            entry.delimiter,
        )
