"""The configuration: the components' settings in one file, all problems at once, one path for start and reload."""
