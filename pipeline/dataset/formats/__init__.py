"""How rows lie in files, one module for each: compressed, Arrow and parquet, JSON, CSV, and the encoding of text."""
