"""Variational reconstruction."""
