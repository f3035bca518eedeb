"""Decoded frames → upright frames of the colours and the form that encoders take."""
