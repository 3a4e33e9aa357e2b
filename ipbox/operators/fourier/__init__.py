"""Fourier transforms on grids and at scattered frequencies."""
