"""Maps of a person's photographs: what is meant, what is made of each, what is done already, a page and a table."""
