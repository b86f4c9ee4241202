"""The servers of `dbdflow up`."""
