"""Linking the records of any one table: the engine behind `p20w link`.

What belongs here, one subject a module: `columns` (which column means what), `standard` (values in one form),
`candidate` (which pairs are compared), `model` (how two records are compared, and how much an agreement weighs),
`group` (from weights of pairs to groups of records), `accuracy` (against a truth column), `policy` (rows in
force), `run` (all of it in turn).
What does not: the vault, the registry of persons, and the nightly tiers.
"""
