"""True images: phantoms, and the real ones shipped in ``data/``."""
