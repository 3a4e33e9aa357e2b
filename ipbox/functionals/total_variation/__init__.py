"""Total variations: first and second order, guided, smoothed."""
