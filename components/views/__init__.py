"""What is made of a photograph and its map for people to look at."""
