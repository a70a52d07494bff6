"""One file a command, or a group of commands that are alike."""
