"""Load and micro benchmarks. Law: they measure and report; nothing here decides whether a build passes."""
