"""TikTok Events API simulator and demo shop, for local work, tests and benchmarks."""
