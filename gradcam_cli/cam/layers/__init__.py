"""Target layers: which there are, what a run of the network shows of them, where their grid is."""
