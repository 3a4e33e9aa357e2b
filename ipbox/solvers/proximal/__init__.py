"""Proximal methods."""
