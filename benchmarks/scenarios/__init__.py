"""The scenarios P1–P9. Each module has ``run(context) -> list[Figure]``; the table of them is in ``benchmarks/__main__.py``."""
