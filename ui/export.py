"""The Export tab."""

import gradio as gr


def build(studio):
    return gr.Markdown("export")


def wire(tab, studio, page):
    return None
