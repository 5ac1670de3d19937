"""The Filter tab."""
