"""Plug-and-play, regularisation by denoising, fixed points."""
