"""XML interchanges: one record per element below the root, read as a stream, entities and network off.

What belongs here: walking elements by local name. What does not: what they mean (layouts).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from lxml import etree

from pipelines.errors import P20wError
from pipelines.intake.readers.layouts import Entry, Extract, UnreadableFile

# One step of a path: a local name and, in brackets, what a child (or `.`, the element itself) must say. A descriptor
# `uri://…#Value` may be named by what stands after its #. A last step `@name` is an attribute.
STEP = re.compile(r"^(?P<name>@?[\w.-]+)(?:\[(?P<child>[\w.-]+)=(?P<value>[^\]]*)\])?$")

Step = tuple[str, str | None, str | None]


def read(path: Path, file_entries: list[Entry]) -> Extract:
    """Read an XML file; `source_row` is the place of the record among the elements below the root, from 1.

    Elements that no entry collects count as records and are not matched. Raises UnreadableFile for XML that is not
    well formed.
    """
    wanted: dict[str, list[Entry]] = {}
    for entry in file_entries:
        for name in entry.record_elements:
            wanted.setdefault(name, []).append(entry)
    paths = {
        id(entry): {
            line.element: [parse_path(path_text) for path_text in line.alternatives]
            for line in entry.lines
            if line.constant is None
        }
        for entry in file_entries
    }
    columns = {key: {"source_row": [], **{element: [] for element in found}} for key, found in paths.items()}
    records, matched = 0, 0
    ignored: Counter[str] = Counter()
    for element in _records(path, file_entries[0].encoding if file_entries else None):
        records += 1
        name = etree.QName(element).localname
        if name not in wanted:
            ignored[name] += 1
            continue
        matched += 1
        for entry in wanted[name]:
            target = columns[id(entry)]
            target["source_row"].append(records)
            for column, alternatives in paths[id(entry)].items():
                target[column].append(next((text for p in alternatives if (text := first_text(element, p))), None))
    parts = []
    for entry in file_entries:
        data = columns[id(entry)]
        schema = {name: pl.Int64 if name == "source_row" else pl.String for name in data}
        parts.append((entry, pl.DataFrame(data, schema=schema)))
    return Extract(records, matched, parts, sorted(ignored))


def count(path: Path) -> int:
    """Elements below the root of an XML file that nobody collects."""
    return sum(1 for _ in _records(path, None))


def parse_path(text: str) -> list[Step]:
    """`A/B[C=x]/D` as steps. Raises ValueError for a path that layout.csv cannot mean."""
    steps = []
    for part in re.split(r"/(?![^\[]*\])", text.strip()):
        match = STEP.match(part)
        if not match:
            raise P20wError(f"layout.csv: {text} is not a path of element names such as A/B[C=x]/D.")
        steps.append((match["name"], match["child"], match["value"]))
    return steps


def first_text(element: etree._Element, steps: list[Step]) -> str | None:
    """Text of the first element the path leads to that is not blank, or None."""
    if not steps:
        text = (element.text or "").strip()
        return text or None
    name, child, value = steps[0]
    if name.startswith("@"):
        return (element.get(name[1:]) or "").strip() or None
    for candidate in element.iterchildren(tag=etree.Element):
        if etree.QName(candidate).localname != name:
            continue
        if child is not None and not _says(candidate, child, value):
            continue
        if (text := first_text(candidate, steps[1:])) is not None:
            return text
    return None


def _says(element: etree._Element, child: str, value: str | None) -> bool:
    text = first_text(element, []) if child == "." else first_text(element, [(child, None, None)])
    return text is not None and value in (text, text.rsplit("#", 1)[-1])


def _records(path: Path, encoding: str | None) -> Iterator[etree._Element]:
    """Each element below the root once it is complete; it is emptied after use, so that memory stays small."""
    try:
        depth = 0
        stream = etree.iterparse(
            str(path),
            events=("start", "end"),
            encoding=encoding,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            remove_comments=True,
            remove_pis=True,
        )
        for event, element in stream:
            if event == "start":
                depth += 1
                continue
            depth -= 1
            if depth == 1:
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise UnreadableFile(
            f"{path.name} is refused: it is not well-formed XML near line {error.lineno}. Write and send it again."
        ) from None
