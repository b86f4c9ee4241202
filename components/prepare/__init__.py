"""From a set's raw folder to its prepared one: pairs, labels with 1 = in focus, splits, findings."""
