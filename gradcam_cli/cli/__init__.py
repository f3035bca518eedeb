"""What a person types, and what is said back: results on stdout, everything else on stderr."""
