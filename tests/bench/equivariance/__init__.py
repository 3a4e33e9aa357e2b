"""Experiments: what equivariant networks need less of, and what they keep."""
