"""Problems made from a truth: operator, data, truth, noise level."""
