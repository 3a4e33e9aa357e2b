"""Indicators of convex sets."""
