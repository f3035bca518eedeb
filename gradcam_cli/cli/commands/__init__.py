"""The subcommands, one thin file each, imported on use."""
