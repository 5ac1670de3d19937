"""The review section of the Dataset tab."""
