"""Learning from many images, a few of them at a time."""
