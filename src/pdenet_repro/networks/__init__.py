"""Networks whose layers are discretised partial differential equations (Sections 2 and 3 of the paper)."""
