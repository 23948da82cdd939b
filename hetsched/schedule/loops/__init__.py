"""The inner loops of scheduling: plain Python that numba compiles unchanged; see `compiled`."""
