"""Methods of smooth problems."""
