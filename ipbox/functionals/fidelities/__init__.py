"""Data fidelities D(Au, b)."""
