"""What an output directory knows of its results: append-only records, one file a process."""
