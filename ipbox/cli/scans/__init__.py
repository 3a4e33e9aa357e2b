"""``python -m ipbox scan``: from the raw files of a scan to a volume on disk."""
