"""Krylov methods of least squares."""
