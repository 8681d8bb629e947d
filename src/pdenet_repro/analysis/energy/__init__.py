"""Kind ``energy``: norms of the features, energies and forces at every time step."""
