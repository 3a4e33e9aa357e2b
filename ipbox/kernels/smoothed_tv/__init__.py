"""Whole solves with smoothed total variation."""
