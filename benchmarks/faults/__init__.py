"""Faults and attacks at full size: each is a command of its own, prints its figures and exits 1 if a promise is broken.

``python -m benchmarks.faults.<name>``. Short forms of the same run in the test suite.
"""
