"""Norms, sparsity, smoothness and filters."""
