"""What every functional is: the base class, sums, compositions, adapters."""
