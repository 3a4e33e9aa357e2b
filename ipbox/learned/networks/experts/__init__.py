"""What the ridge functions of fields of experts are made of: filters, and splines as derivatives of potentials."""
