"""Reconstruction maps Φ from networks."""
