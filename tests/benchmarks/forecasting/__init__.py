"""What the forecasts are worth and what they cost, on real series: see `__main__`."""
