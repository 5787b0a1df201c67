"""The panel of hourly series, and the features that a model is told of them.

Uses numpy and pandas alone. Begin with `panel`, then `rows`; `dense` and `sparse` are the two sets of columns.
"""
