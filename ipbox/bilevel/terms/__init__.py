"""Parametric terms of the lower level: values, gradients, Hessians and mixed derivatives."""
