"""`p20w attack`: what a stranger can compute of the hidden cells of a protected table.

What belongs here: everything that follows from the published cells and `family.yml`. What does not: how the table was
protected. This package shares no code with the protection beyond the reading of tables (but for the one attack that
runs the protection again), and never sees an exact count that the table does not show.
"""

from pipelines.disclosure.table.attack.run import Attack, attack_file, attack_table

__all__ = ["Attack", "attack_file", "attack_table"]
