"""The options that commands share, and their conversion to settings."""
