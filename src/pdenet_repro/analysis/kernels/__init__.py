"""Kind ``kernels``: kernels as functions of time, and their size."""
