"""Pages about forecasts and models, in the dashboard: the fan chart, cover, comparisons, decisions.

Uses `reading`, `registry` and `evaluation`, and the extra [web]. Begin with `pages`; `chart` draws the fan chart.
"""
