"""What is served besides the page: the annotation server under a prefix, and who may speak to the studio."""
