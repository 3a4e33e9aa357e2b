"""Three-dimensional transforms of point sources and flat panels."""
