"""Compiling, checking and launching the kernels."""
