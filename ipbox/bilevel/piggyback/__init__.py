"""Hypergradients by primal-dual steps on the lower level and its derivative at once, with a bound of their error."""
