"""Products that the array library makes in several passes: correlation, weights, coils."""
