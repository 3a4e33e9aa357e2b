"""Primal-dual methods."""
