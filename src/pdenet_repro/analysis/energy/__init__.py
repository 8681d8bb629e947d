"""Kind ``energy``: norms of features and energies along the time steps."""
