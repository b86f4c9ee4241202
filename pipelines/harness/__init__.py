"""What every stage runs in."""
