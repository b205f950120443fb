"""Which models and marts read an element, followed column by column through the compiled SQL of the night.

What belongs here: reading SELECT statements far enough to say from which delivered elements a column, or the presence
of a row, follows. What does not: what an element is for (the register) and what it means (`schemas`).

How it is followed:

- A column is made of the columns in its expression. Carrying a column on, under whatever name, is no use of it.
- A condition in WHERE or HAVING decides which rows there are, hence everything that is counted from them.
- A join by equal keys is a question: the columns taken from the joined table depend on the key that asks, not on the
  key that answers. Joins by person and year (`SHARED_KEYS`) only lay side by side what belongs together.
- What is aggregated depends on the columns that it is grouped by. That a value is there at all tells nothing.
- Constants keep the parts of a UNION apart: who asks for `transition_code = 'college__work'` reads that part only.
- A key from the registry is random. It follows from nothing that was delivered.

Where SQL leaves a doubt, more is named rather than less.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import sqlglot
from sqlglot import expressions as exp

from pipelines.settings import Settings

Origin = tuple[str, str]  # (table as it arrives: collection, or identity_record; column)
NOTHING: frozenset[Origin] = frozenset()
ARRIVING = {"accepted", "vault"}  # schemas of what arrives; the vault's tables have the schema main in DuckDB
NO_USE_IN = {"staging"}  # renaming, casting and putting codes into one form
SHARED_KEYS = {"record_key", "person_key", "school_year", "cohort_year"}


@dataclass
class Part:
    """One member of a UNION: its constant columns, what each column is made of, what decides on its rows."""

    constants: dict[str, str] = field(default_factory=dict)
    reads: dict[str, frozenset[Origin]] = field(default_factory=dict)
    rows: frozenset[Origin] = NOTHING


@dataclass
class Relation:
    """A table, view or subquery. `root`: the name of a table that arrives, whose columns are origins themselves."""

    parts: list[Part]
    root: str = ""

    def columns(self) -> list[str]:
        return list(self.parts[0].reads) if self.parts else []

    def has(self, column: str) -> bool:
        return bool(self.root) or any(column in part.reads for part in self.parts)


def unknown() -> Relation:
    """A table that holds nothing delivered: a seed, the registry, a series."""
    return Relation([Part()])


class Lineage:
    """Readers of every element.

    `models`: (schema, name) → SQL; `written_by_python`: a table that no model makes → the models that it is made from.
    """

    def __init__(
        self,
        models: dict[tuple[str, str], str],
        written_by_python: dict[tuple[str, str], list[tuple[str, str]]] | None = None,
    ):
        self.used: dict[tuple[str, str], set[Origin]] = {}
        self.relations: dict[tuple[str, str], Relation] = {}
        self._sql = models
        self._python = written_by_python or {}
        self._running: set[tuple[str, str]] = set()
        self.order: list[tuple[str, str]] = []
        for key in sorted(models):
            self._relation(key)

    @classmethod
    def of_night(cls, settings: Settings) -> Lineage:
        """From the manifests that the night's dbt phases left, whose SQL is compiled.

        Errors: FileNotFoundError when no dbt phase has run in this home.
        """
        models: dict[tuple[str, str], str] = {}
        # The identity phase compiles inside the vault's folder; its SQL names columns, never a value of a row.
        places = (settings.vault / "dbt", settings.work / "dbt")
        for path in sorted(path for place in places for path in place.glob("*/manifest.json")):
            for node in json.loads(path.read_text())["nodes"].values():
                if node["resource_type"] == "model" and node.get("compiled_code"):
                    models[(node["schema"], node["name"])] = node["compiled_code"]
        if not models:
            raise FileNotFoundError(
                f"No compiled models are in {Path(settings.work) / 'dbt'}: run the night before the inventory."
            )
        # Disclosure control writes the official table from the exact cubes and the directory, and private earnings from
        # the indicators that say who paid.
        directory = ("core", "dim_organization")
        paid = [
            ("indicators", name.removesuffix("__contributor"))
            for schema, name in sorted(models)
            if schema == "indicators" and name.endswith("__contributor")
        ]
        return cls(
            models,
            {
                ("protected", "official_indicator"): [("cubes", "cube_indicator"), directory],
                ("protected", "private_earnings"): [*paid, directory],
            },
        )

    def readers(self, origins: Iterable[Origin]) -> tuple[list[str], list[str]]:
        """Names of the models that use one of the origins (in the order of the night), and of the marts they reach."""
        asked = set(origins)
        models = [
            name
            for schema, name in self.order
            if schema not in NO_USE_IN | {"marts"} and self.used[(schema, name)] & asked
        ]
        marts = sorted(
            name
            for schema, name in self.order
            if schema == "marts" and everything(self.relations[(schema, name)]) & asked
        )
        return models, marts

    # --- tables -----------------------------------------------------------------------------------------
    def _relation(self, key: tuple[str, str]) -> Relation:
        if key in self.relations:
            return self.relations[key]
        if key in self._python:
            found = self._from_python(self._python[key])
        elif key not in self._sql or key in self._running:
            schema, name = key
            return Relation([Part()], root=name) if schema in ARRIVING or name == "identity_record" else unknown()
        else:
            self._running.add(key)
            self.used[key] = set()
            found = Query(self, self.used[key]).of(sqlglot.parse_one(self._sql[key], dialect="duckdb"), {}, [])
            self._running.discard(key)
            self.order.append(key)
        self.relations[key] = found
        return found

    def _from_python(self, behind: list[tuple[str, str]]) -> Relation:
        """A table of the cells or rows of models: their columns by name, any other made of everything in the cell.

        Columns of the core models among them, the directory, are found by name too.
        """
        counted_in = [part for key in behind if key[0] != "core" for part in self._relation(key).parts]
        named = [merged(self._relation(key).parts) for key in behind if key[0] == "core"]
        parts = []
        for part in counted_in:
            whole = part.rows.union(*part.reads.values())
            extra = {name: reads for other in named for name, reads in other.reads.items() if name not in part.reads}
            counted = {name: whole for name in COMPUTED if name not in part.reads}
            parts.append(Part(dict(part.constants), {**extra, **part.reads, **counted}, part.rows))
        return Relation(parts)


# Columns that disclosure control computes from a cell.
COMPUTED = (
    "rate", "rate_low", "rate_high", "rate_label", "value_amount", "value_unit", "value_status", "suppression_reason",
    "found_count", "earnings_p25", "earnings_p50", "earnings_p75",
)  # fmt: skip


class Query:
    """Reads the statements of one model; `used` collects what it uses rather than carries on."""

    def __init__(self, lineage: Lineage, used: set[Origin]):
        self.lineage = lineage
        self.used = used

    def of(self, tree: exp.Expression, known: dict[str, Relation], outer: list[Scope]) -> Relation:
        """Relation of a query. `known`: common table expressions by name; `outer`: scopes around a subquery."""
        known = dict(known)
        clause = tree.args.get("with_") or tree.args.get("with")
        for each in clause.expressions if clause else ():
            known[each.alias] = self.of(each.this, known, outer)
        if isinstance(tree, (exp.Subquery, exp.Paren)):
            return self.of(tree.this, known, outer)
        if isinstance(tree, exp.SetOperation):
            left = self.of(tree.left, known, outer)
            right = self.of(tree.right, known, outer)
            return Relation(compact([*left.parts, *(aligned(part, left.columns()) for part in right.parts)]))
        if isinstance(tree, exp.Select):
            return self._select(tree, known, outer)
        return unknown()

    def _select(self, tree: exp.Select, known: dict[str, Relation], outer: list[Scope]) -> Relation:
        start = tree.args.get("from_") or tree.args.get("from")
        joins = [(join, *self._source(join.this, known, outer)) for join in tree.args.get("joins") or ()]
        conditions = list(conjuncts(tree.args.get("where")))
        main_name, main = self._source(start.this, known, outer) if start else ("", unknown())
        asked = constants_asked(conditions)
        parts = []
        for part in matching(main, asked, main_name):
            scope = Scope(main_name, part, main.root, known)
            rows = part.rows
            for join, name, relation in joins:
                rows |= self._join(scope, join, name, relation, asked, outer)
            scopes = [scope, *outer]
            having = list(conjuncts(tree.args.get("having")))
            for condition in [*conditions, *having]:
                there = presence(condition)
                found = scope.depends.get(scope.owner(there), NOTHING) if there else self._origins(condition, scopes)
                self.used |= found
                rows |= found
            parts.append(self._project(tree, scopes, rows, self._grouping(tree, scopes)))
        return Relation(compact(parts) or [Part({}, {name: NOTHING for name in tree.named_selects})])

    def _source(self, node: exp.Expression, known: dict[str, Relation], outer: list[Scope]) -> tuple[str, Relation]:
        name = node.alias_or_name
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            if not node.args.get("db") and node.name in known:
                return name, known[node.name]
            return name, self.lineage._relation((node.args["db"].name if node.args.get("db") else "", node.name))
        if isinstance(node, exp.Subquery):
            return name, self.of(node.this, known, outer)
        return name, unknown()

    def _join(
        self, scope: Scope, join: exp.Join, name: str, relation: Relation, asked: dict, outer: list[Scope]
    ) -> frozenset[Origin]:
        """Add a joined table to the scope. Returns what the join adds to the reasons for a row being there."""
        parts = matching(relation, {**asked, **constants_asked(conjuncts(join.args.get("on")))}, name)
        keys = []
        for condition in conjuncts(join.args.get("on")):
            pair = question(condition, name)
            if pair is not None:
                keys.append(pair)
                constant = scope.constant(pair[0])
                if constant is not None:
                    parts = [part for part in parts if part.constants.get(pair[1].name, constant) == constant]
        joined = merged(parts)
        asking = NOTHING
        for key, answer in keys:
            if answer.name not in SHARED_KEYS:
                asking |= self._origins(key, [scope, *outer])
        self.used |= asking
        scope.add(name, joined, relation.root, asking | joined.rows)
        others = NOTHING
        for condition in conjuncts(join.args.get("on")):
            if question(condition, name) is None and not is_constant_test(condition):
                others |= self._origins(condition, [scope, *outer])
        self.used |= others
        scope.depends[name] |= others
        outside = join.side in {"LEFT", "FULL"}
        return NOTHING if outside else others | joined.rows

    def _grouping(self, tree: exp.Select, scopes: list[Scope]) -> frozenset[Origin]:
        """What the grouping columns are made of; GROUP BY may name them by position."""
        found = NOTHING
        for key in tree.args["group"].expressions if tree.args.get("group") else ():
            if isinstance(key, exp.Literal) and key.is_int:
                key = tree.expressions[int(key.this) - 1]
            found |= self._origins(bare(key), scopes)
        return found

    def _project(
        self, tree: exp.Select, scopes: list[Scope], rows: frozenset[Origin], grouping: frozenset[Origin]
    ) -> Part:
        part = Part(rows=rows)
        for each in tree.expressions:
            if isinstance(each, exp.Star) or (isinstance(each, exp.Column) and isinstance(each.this, exp.Star)):
                table = each.table if isinstance(each, exp.Column) else ""
                for name, column, reads, constant in scopes[0].all_columns(table):
                    del name
                    part.reads[column] = reads
                    if constant is not None:
                        part.constants[column] = constant
                continue
            inner = bare(each)
            reads = self._origins(inner, scopes)
            if grouping and inner.find(exp.AggFunc):
                reads |= grouping
            if not isinstance(inner, exp.Column):
                self.used |= reads
            part.reads[each.alias_or_name] = reads
            constant = literal(inner) if not isinstance(inner, exp.Column) else scopes[0].constant(inner)
            if constant is not None:
                part.constants[each.alias_or_name] = constant
        return part

    def _origins(self, expression: exp.Expression, scopes: list[Scope]) -> frozenset[Origin]:
        """What an expression is made of; subqueries in it are read with the scopes around them."""
        found: frozenset[Origin] = NOTHING
        queue: list[exp.Expression] = [expression]
        while queue:
            node = queue.pop()
            if isinstance(node, exp.Column):
                for scope in scopes:
                    reads = scope.reads(node)
                    if reads is not None:
                        found |= reads
                        break
            elif isinstance(node, (exp.Select, exp.SetOperation)):
                inner = everything(self.of(node, scopes[0].known, scopes))
                self.used |= inner
                found |= inner
            elif isinstance(node, exp.Window):
                queue.extend(each for each in (node.this, node.args.get("order")) if each is not None)
            else:
                queue.extend(node.iter_expressions())
        return found


class Scope:
    """The tables that one SELECT sees."""

    def __init__(self, name: str, part: Part, root: str, known: dict[str, Relation]):
        self.known = known
        self.parts = {name: part}
        self.roots = {name: root}
        self.depends: dict[str, frozenset[Origin]] = {name: NOTHING}

    def add(self, name: str, part: Part, root: str, depends: frozenset[Origin]) -> None:
        self.parts[name], self.roots[name], self.depends[name] = part, root, depends

    def owner(self, column: exp.Column) -> str | None:
        if column.table:
            return column.table if column.table in self.parts else None
        holders = [name for name, part in self.parts.items() if column.name in part.reads]
        if holders:
            return holders[0]
        return next((name for name, root in self.roots.items() if root), None)

    def reads(self, column: exp.Column) -> frozenset[Origin] | None:
        """Origins of a column, or None where this SELECT has no such column."""
        name = self.owner(column)
        if name is None:
            return None
        own = frozenset({(self.roots[name], column.name)}) if self.roots[name] else NOTHING
        return own | self.parts[name].reads.get(column.name, NOTHING) | self.depends[name]

    def constant(self, expression: exp.Expression) -> str | None:
        expression = bare(expression)
        if not isinstance(expression, exp.Column):
            return None
        name = self.owner(expression)
        return None if name is None else self.parts[name].constants.get(expression.name)

    def all_columns(self, table: str) -> Iterator[tuple[str, str, frozenset[Origin], str | None]]:
        for name, part in self.parts.items():
            if table in ("", name):
                for column, reads in part.reads.items():
                    yield name, column, reads | self.depends[name], part.constants.get(column)


# --- small pieces ---------------------------------------------------------------------------------------
def bare(expression: exp.Expression) -> exp.Expression:
    """Without alias, cast and parentheses."""
    while isinstance(expression, (exp.Alias, exp.Cast, exp.TryCast, exp.Paren)):
        expression = expression.this
    return expression


def literal(expression: exp.Expression) -> str | None:
    if isinstance(expression, exp.Literal):
        return expression.name
    return str(expression.this).lower() if isinstance(expression, exp.Boolean) else None


def conjuncts(clause: exp.Expression | None) -> Iterator[exp.Expression]:
    """Conditions that all must hold."""
    if clause is None:
        return
    queue = [clause.this if isinstance(clause, (exp.Where, exp.Having)) else clause]
    while queue:
        node = queue.pop(0)
        if isinstance(node, exp.And):
            queue = [node.left, node.right, *queue]
        elif isinstance(node, exp.Paren) and isinstance(node.this, exp.And):
            queue.insert(0, node.this)
        else:
            yield node


def constants_asked(conditions: Iterable[exp.Expression]) -> dict[tuple[str, str], set[str]]:
    """(table or '', column) → constants that a condition allows."""
    asked = {}
    for condition in conditions:
        column = None
        if isinstance(condition, exp.EQ):
            sides = [bare(condition.left), bare(condition.right)]
            column = next((side for side in sides if isinstance(side, exp.Column)), None)
            allowed = {literal(side) for side in sides if literal(side) is not None}
        elif isinstance(condition, exp.In) and isinstance(bare(condition.this), exp.Column):
            column = bare(condition.this)
            allowed = {literal(bare(each)) for each in condition.expressions}
        if column is not None and allowed and None not in allowed:
            asked[(column.table, column.name)] = allowed
    return asked


def presence(condition: exp.Expression) -> exp.Column | None:
    """The column of a condition `column IS NOT NULL`."""
    test = condition.this if isinstance(condition, exp.Not) else None
    is_presence = isinstance(test, exp.Is) and isinstance(test.expression, exp.Null)
    return test.this if is_presence and isinstance(test.this, exp.Column) else None


def is_constant_test(condition: exp.Expression) -> bool:
    return bool(constants_asked([condition]))


def matching(relation: Relation, asked: dict[tuple[str, str], set[str]], name: str) -> list[Part]:
    """Parts whose constants fit what is asked of this table."""
    return [
        part
        for part in relation.parts
        if all(
            part.constants.get(column) is None or part.constants[column] in allowed
            for (table, column), allowed in asked.items()
            if table in ("", name)
        )
    ]


def question(condition: exp.Expression, joined: str) -> tuple[exp.Expression, exp.Column] | None:
    """(asking side, answering column) where a join compares a key of the joined table with another table's."""
    if not isinstance(condition, exp.EQ):
        return None
    for answer, asking in ((condition.right, condition.left), (condition.left, condition.right)):
        column = bare(answer)
        others = list(asking.find_all(exp.Column))
        asks_elsewhere = bool(others) and all(other.table and other.table != joined for other in others)
        if isinstance(column, exp.Column) and column.table == joined and asks_elsewhere:
            return asking, column
    return None


def merged(parts: list[Part]) -> Part:
    """All parts as one: constants that agree, everything that is read."""
    if not parts:
        return Part()
    constants = dict(parts[0].constants)
    reads: dict[str, frozenset[Origin]] = {}
    rows = NOTHING
    for part in parts:
        constants = {name: value for name, value in constants.items() if part.constants.get(name) == value}
        for name, origins in part.reads.items():
            reads[name] = reads.get(name, NOTHING) | origins
        rows |= part.rows
    return Part(constants, reads, rows)


def compact(parts: list[Part]) -> list[Part]:
    """Parts with equal constants as one."""
    groups: dict[tuple, list[Part]] = {}
    for part in parts:
        groups.setdefault(tuple(sorted(part.constants.items())), []).append(part)
    return [merged(group) for group in groups.values()]


def aligned(part: Part, columns: list[str]) -> Part:
    """A later member of a UNION under the first one's column names, by position."""
    names = dict(zip(part.reads, columns, strict=False)) if columns else {}
    if not names:
        return part
    return Part(
        {names[name]: value for name, value in part.constants.items() if name in names},
        {names[name]: origins for name, origins in part.reads.items() if name in names},
        part.rows,
    )


def everything(relation: Relation) -> frozenset[Origin]:
    """All that a relation's columns and rows follow from."""
    return NOTHING.union(*(part.rows.union(*part.reads.values()) for part in relation.parts))
