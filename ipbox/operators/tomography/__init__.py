"""Projections: parallel, fan beam, emission."""
