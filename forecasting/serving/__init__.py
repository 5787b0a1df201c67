"""Forecasts over HTTP, as a served model, and as metrics.

Uses `reading` and `registry`; each module joins the engine by an entry point. Begin with `http`.
"""
