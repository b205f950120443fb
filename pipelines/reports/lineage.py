"""Which models and marts read an element, from the compiled SQL of the night.

Columns are followed by name from a collection's staging model downward, through aliases. Carrying a column on under
its own name is no use of it; anything else is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache

import sqlglot
from sqlglot import expressions as exp

from pipelines.settings import Settings


class Lineage:
    """Readers of every column of a staging model."""

    def __init__(self, nodes: dict[str, dict], children: dict[str, list[str]]):
        self.nodes = nodes
        self.children = children
        self.order = self._topological()

    @classmethod
    def of_night(cls, settings: Settings) -> Lineage:
        """From the manifests that the night's dbt phases left, whose SQL is compiled."""
        nodes: dict[str, dict] = {}
        children: dict[str, list[str]] = defaultdict(list)
        for path in sorted((settings.work / "dbt").glob("*/manifest.json")):
            manifest = json.loads(path.read_text())
            for unique_id, node in manifest["nodes"].items():
                if node["resource_type"] == "model" and (node.get("compiled_code") or unique_id not in nodes):
                    nodes[unique_id] = node
        for unique_id, node in nodes.items():
            for parent in node["depends_on"]["nodes"]:
                if parent in nodes:
                    children[parent].append(unique_id)
                elif parent.endswith(".official_indicator"):
                    # Written by disclosure control from the exact cubes.
                    children["model.p20w.cube_indicator"].append(unique_id)
        return cls(nodes, dict(children))

    def readers(self, staging: str, column: str) -> tuple[list[str], list[str]]:
        """Names of models that use `column` of model `staging`, and of the marts below them."""
        start = f"model.p20w.{staging}"
        names: dict[str, set[str]] = {start: {column}}
        using: list[str] = []
        for unique_id in self.order:
            arriving = set().union(*(names[parent] for parent in self._parents(unique_id) if parent in names))
            if not arriving or unique_id == start:
                continue
            used, leaving = self._follow(unique_id, frozenset(arriving))
            if used:
                using.append(self.nodes[unique_id]["name"])
            if leaving:
                names[unique_id] = leaving
        marts = {name for model in using for name in self._marts_below(f"model.p20w.{model}")}
        return using, sorted(marts)

    def _follow(self, unique_id: str, arriving: frozenset[str]) -> tuple[bool, set[str]]:
        columns, aliases, carried = self._columns(unique_id)
        used = any(name in arriving for name in columns)
        leaving = {name for name in carried if name in arriving}
        # An alias made from a column that came in is that column under another name.
        leaving |= {alias for alias, sources in aliases.items() if sources & arriving}
        return used, leaving

    @cache  # noqa: B019 - one object a night
    def _columns(self, unique_id: str) -> tuple[frozenset[str], dict[str, set[str]], frozenset[str]]:
        """Columns used (not merely carried), aliases with their source columns, and columns carried by name."""
        code = self.nodes[unique_id].get("compiled_code") or ""
        if not code:
            return frozenset(), {}, frozenset()
        used: set[str] = set()
        carried: set[str] = set()
        aliases: dict[str, set[str]] = defaultdict(set)
        for column in sqlglot.parse_one(code, dialect="duckdb").find_all(exp.Column):
            parent = column.parent
            if isinstance(parent, exp.Select) and column in parent.expressions:
                carried.add(column.name)
                continue
            used.add(column.name)
            alias = column.find_ancestor(exp.Alias, exp.Select)
            if isinstance(alias, exp.Alias):
                if isinstance(alias.this, (exp.Column, exp.Cast)) and alias.alias == column.name:
                    used.discard(column.name)
                    carried.add(column.name)
                else:
                    aliases[alias.alias].add(column.name)
        return frozenset(used), dict(aliases), frozenset(carried)

    def _parents(self, unique_id: str) -> list[str]:
        parents = [parent for parent in self.nodes[unique_id]["depends_on"]["nodes"] if parent in self.nodes]
        if any(parent.endswith(".official_indicator") for parent in self.nodes[unique_id]["depends_on"]["nodes"]):
            parents.append("model.p20w.cube_indicator")
        return parents

    def _marts_below(self, unique_id: str) -> set[str]:
        found, queue = set(), [unique_id]
        seen = set()
        while queue:
            each = queue.pop()
            if each in seen:
                continue
            seen.add(each)
            if each in self.nodes and self.nodes[each]["schema"] == "marts":
                found.add(self.nodes[each]["name"])
            queue.extend(self.children.get(each, ()))
        return found

    def _topological(self) -> list[str]:
        done: list[str] = []
        seen: set[str] = set()

        def visit(unique_id: str) -> None:
            if unique_id in seen or unique_id not in self.nodes:
                return
            seen.add(unique_id)
            for parent in self._parents(unique_id):
                visit(parent)
            done.append(unique_id)

        for unique_id in sorted(self.nodes):
            visit(unique_id)
        return done
