"""Operators on images: blur, derivatives, wavelets, masks."""
