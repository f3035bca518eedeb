"""The options that commands share, and the way from options to settings."""
