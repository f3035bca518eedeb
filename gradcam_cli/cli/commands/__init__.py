"""The subcommands, one thin file each, loaded when asked for."""
