"""What the engine can do, measured beside rivals: `python -m tests.benchmarks.waves`."""
