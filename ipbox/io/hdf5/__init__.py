"""HDF5 files: looked at in a process of their own first, then their datasets."""
