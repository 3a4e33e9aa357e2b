"""Dynamic-accuracy derivative-free optimisation."""
