"""Maps: made by a network, kept in archives, refined along edges; 1 = in focus."""
