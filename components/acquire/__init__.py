"""Data and weights from the inbox or the network: recognised, verified, unpacked."""
