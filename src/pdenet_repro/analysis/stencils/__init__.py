"""Kind ``stencils``: kernels as differential operators."""
