"""The Dataset tab."""
import gradio as gr
def build(studio): return gr.Markdown("dataset")
def wire(tab, studio, page): return None
