"""Sealing: normalise, hash, browser id, click id, redaction (pure)."""
