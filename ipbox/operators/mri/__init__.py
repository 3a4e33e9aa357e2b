"""Magnetic resonance imaging."""
