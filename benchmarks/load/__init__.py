"""The load generator: closed loop to find the maximum, open loop to measure latency honestly.

Law: every request carries its own event_id, every answer is counted, and in open loop the latency of a request counts from
the moment it was *due*, not from the moment a connection became free (no coordinated omission).
"""
