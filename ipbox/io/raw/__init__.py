"""Files of raw MRI data."""
