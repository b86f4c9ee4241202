"""What the data are: sets, splits and test sets of the paper; photographs and masks as people have them."""
