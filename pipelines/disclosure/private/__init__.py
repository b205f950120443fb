"""Earnings told by differential privacy, instead of all other statistics of the same wage records.

What belongs here: the decision (policy, instead), the noise (mechanism), what was spent (budget), the night's step
(earnings). What does not: the proof that nothing else is told of these records (disclosure/told_once).
"""
