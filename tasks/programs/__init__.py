"""Tasks in any language: a program that reads and writes lines of JSON.

Uses `tasks.sources.declare` and `values`. Begin with `command`.
"""
