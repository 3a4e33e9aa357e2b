"""First and second differences with voxel sizes, and tensors."""
