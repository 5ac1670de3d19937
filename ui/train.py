"""The Train tab."""
import gradio as gr
def build(studio): return gr.Markdown("train")
def wire(tab, studio, page): return None
