"""Intake: deliveries come in, are read as declared, checked, and accepted or quarantined row by row.

What belongs here: readers, checks, quarantine, ledger. What does not: who a person is (`pipelines/identity`), and
anything the warehouse computes.
"""
