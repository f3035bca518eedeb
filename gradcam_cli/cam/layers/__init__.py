"""Target layers: tracing a network to find them, selecting one, and the layout of its grid."""
