"""The program that carries a run inside a Hugging Face Job."""
