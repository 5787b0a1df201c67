"""What needs libraries that want an older pandas than ours: run in an environment of its own, see `.ci/run`."""
