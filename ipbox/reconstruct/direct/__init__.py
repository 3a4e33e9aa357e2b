"""Analytical reconstruction."""
