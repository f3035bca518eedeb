"""Still pictures: read, explained in batches, rendered and written at the same time."""
