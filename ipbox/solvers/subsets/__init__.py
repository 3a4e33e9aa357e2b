"""Methods that take the data in parts."""
