"""What ``python -m ipbox demo`` shows."""
