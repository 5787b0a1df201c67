"""Pages about forecasts and models, in the dashboard. Need the extra [web]."""
