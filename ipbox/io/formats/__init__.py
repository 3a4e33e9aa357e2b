"""File formats of images and volumes."""
