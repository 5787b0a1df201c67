"""How models are served: python -m tests.benchmarks.serving --json F [--short] [--strict]."""
