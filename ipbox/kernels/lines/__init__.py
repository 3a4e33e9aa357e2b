"""Line integrals of images by linear interpolation."""
