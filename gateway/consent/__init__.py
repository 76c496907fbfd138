"""Consent signals and the gate (pure)."""
