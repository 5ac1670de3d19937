"""The Evaluate tab."""

import gradio as gr


def build(studio):
    return gr.Markdown("evaluate")


def wire(tab, studio, page):
    return None
