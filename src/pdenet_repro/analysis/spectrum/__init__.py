"""Kind ``spectrum``: eigenvalues of the layers' Jacobians, and the step sizes they allow."""
