"""The pages: Gradio only, no business logic."""
