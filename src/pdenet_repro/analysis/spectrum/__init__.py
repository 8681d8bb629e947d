"""Kind ``spectrum``: eigenvalues of the layers' Jacobians, and the step sizes at which the integrators are stable."""
