"""The command line: every step without a page, by the same functions, in the same words."""
