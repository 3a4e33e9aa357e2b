"""Methods for the upper level."""
