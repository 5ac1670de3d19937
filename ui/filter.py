"""The Filter tab."""

import gradio as gr


def build(studio):
    return gr.Markdown("filter")


def wire(tab, studio, page):
    return None
