"""Finite differences and the steps of primal-dual TV."""
