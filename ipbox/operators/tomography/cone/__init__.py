"""Three-dimensional transforms: cone and parallel beam, stacks of slices; and where things are in space."""
