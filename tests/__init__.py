"""The tests: a package by name, because some libraries install one that is called the same."""
