"""Even quadratic splines of filter responses."""
