"""The Ray executor; imported only when it is asked for."""
