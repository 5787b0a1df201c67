"""The HTTP API: models, health and metrics; routers of other packages join by the entry points `pipeline.routers`."""
