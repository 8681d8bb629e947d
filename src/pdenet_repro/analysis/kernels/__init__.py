"""Kind ``kernels``: how kernels change in time, and how large they are."""
