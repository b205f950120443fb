"""Orchestrator objects only: assets, checks, the job, its schedule and sensor. No rule of the house lives here."""
