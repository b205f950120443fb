"""Protect, and attack, any hierarchical linked table of counts that a `family.yml` describes.

What belongs here: one table of counts with its sums, made anywhere. What does not: this warehouse's own official
marts with their numerators, bands and nestings (the modules beside this package), and perturbation (a dbt macro).
"""
