"""Methods of multipliers."""
