"""Iterative reconstruction, stopped early."""
