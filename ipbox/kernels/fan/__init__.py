"""Weighted back-projection of fan-beam views."""
