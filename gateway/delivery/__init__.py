"""Lease, map, batch, send, judge, settle."""
