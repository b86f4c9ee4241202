"""One module a command of `dbdflow`."""
