"""Metrics, logs and the ops listener (io)."""
