"""Line integrals of volumes from a point source to a flat panel, by linear interpolation."""
