"""Everything that talks to the Hugging Face Hub; nothing else of the studio does."""
