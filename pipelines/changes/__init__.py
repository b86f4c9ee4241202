"""What a change reruns, and what it did to the numbers."""
