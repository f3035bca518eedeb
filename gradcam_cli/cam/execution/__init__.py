"""What only makes the engine faster or its results independent of the batch; no formula is here."""
