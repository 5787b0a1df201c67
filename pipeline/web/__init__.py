"""The HTTP API: models, health and metrics, and the dashboard behind the same door.

Uses `serving`, `monitoring` and `dashboard`, and the extra [web]; routers of other packages join by the entry points
`pipeline.routers`. Begin with `application`; `guard` is what every request passes.
"""
