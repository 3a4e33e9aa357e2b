"""What every operator is: the base class, its algebra, norms, adapters."""
