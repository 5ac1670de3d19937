"""Theme and style of all pages."""

from __future__ import annotations

import gradio as gr

THEME = gr.themes.Soft(
    primary_hue=gr.themes.colors.teal,
    secondary_hue=gr.themes.colors.slate,
    neutral_hue=gr.themes.colors.slate,
    font=["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "sans-serif"],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
)

CSS = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto !important; }
.brand { font-weight: 700; font-size: var(--text-lg); color: var(--color-accent); white-space: nowrap; }
#status-brand { flex: 0 0 auto; width: max-content !important; } #status-bar { align-items: center; }
#status-project { flex: 0 1 280px; } #status-items { flex: 1 1 380px; }
@media (max-width: 640px) { #status-bar { flex-direction: column; align-items: stretch; gap: 6px; }
  #status-bar > * { flex: none !important; width: 100% !important; } }
#status-bar { border-bottom: 1px solid var(--border-color-primary); padding: 2px 0 8px; }
.status-items { display: flex; flex-wrap: wrap; gap: 6px 18px; font-size: var(--text-sm); align-items: center; }
.status-items .dot { display: inline-block; width: 8px; height: 8px; border-radius: 50%; margin-right: 6px; }
.dot.good { background: #0d9488; } .dot.busy { background: #d97706; } .dot.bad { background: #dc2626; }
.dot.idle { background: #94a3b8; }
#status-account, #status-retry { flex: 0 0 auto; width: max-content !important; }
#project-delete { flex: 0 0 auto; width: max-content; align-self: flex-start; }
button.account-leave { font-size: var(--text-sm); font-weight: 400; padding: 4px 12px; margin: 6px 0 0; }
.downloads { display: inline; } .downloads a { margin: 0 10px 0 0; color: var(--color-accent); }
#account-panel { border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); padding: 14px 16px;
  background: var(--block-background-fill); } #account-form { align-items: end; }
#account-token { padding: 0; } #account-sign-in, #account-buttons button { flex: 0 0 auto; width: max-content; }
.account-head { font-weight: 600; margin-bottom: 6px; } #account-status .dot { display: inline-block; width: 8px;
  height: 8px; border-radius: 50%; margin-right: 8px; } #account-status .facts { margin: 10px 0; }
#account-status a { padding: 0; margin: 0 6px 0 0; color: var(--color-accent); } #account-status p { margin: 4px 0; }
#account-token input { border: 1px solid var(--border-color-primary); } #account-status { padding: 0; }
#account-status > .prose, #account-status .html-container { padding: 0 !important; }
#spend-stop { flex: 0 0 auto; width: max-content !important; background: transparent; color: #dc2626;
  border: 1px solid #dc2626; } .dark #spend-stop { color: #f87171; border-color: #f87171; }
#status-items a, #spend-about a { text-decoration: underline; color: inherit; }
#spend-end { background: #dc2626; color: white; }
#spend-panel { border-color: #dc2626; }
.spend-head { font-weight: 600; margin-bottom: 6px; } #spend-about ul { margin: 6px 0; padding-left: 18px; }
#spend-about li { overflow-wrap: anywhere; }
#spend-buttons { padding: 10px 0 0; } #spend-buttons button { flex: 0 0 auto; width: max-content; }
.picker-note { padding: 0 16px 10px !important; background: var(--block-background-fill) !important; }
.gr-group:has(.picker-note), .gr-group:has(.picker-note) > .styler { background: var(--block-background-fill); }
.picker-note .picker-note { padding: 0 !important; } .picker-note .notice { margin: 0; }
.unfit summary { cursor: pointer; font-size: var(--text-sm); }
.unfit ul { margin: 6px 0 0; padding: 0; list-style: none; font-size: var(--text-sm); }
.unfit li { padding: 2px 0; color: var(--body-text-color-subdued); } .unfit label { opacity: .75; }
.confirm { border: 2px solid var(--color-accent); border-radius: var(--radius-lg); padding: 12px 16px; }
.run-card { border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); padding: 12px 16px; }
.gr-group:has(.run-card), .gr-group:has(.run-card) > .styler, .block:has(> * .run-card), .block:has(> .run-card) {
  background: var(--block-background-fill) !important; }
.run-card { border: none; }
.run-stop { width: max-content !important; min-width: 180px; margin: 0 16px 12px; }
.run-head { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: baseline; }
.run-head .state { font-weight: 600; } .run-head .state.failed, .run-head .state.lost { color: #dc2626; }
.run-head .state.succeeded { color: #0d9488; }
.run-head .time, .run-line { color: var(--body-text-color-subdued); font-size: var(--text-sm); }
.run-bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); margin: 10px 0 6px;
  overflow: hidden; }
.run-bar > div { height: 100%; background: var(--color-accent); transition: width .4s; }
.run-problem { border-left: 4px solid #dc2626; padding: 6px 12px; margin-top: 10px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.run-problem b { display: block; }
.run-log { font-family: var(--font-mono); font-size: 12px; height: 18em; overflow: auto; margin: 0;
  white-space: pre-wrap; overflow-wrap: anywhere; color: var(--body-text-color);
  background: var(--input-background-fill) !important;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); padding: 8px 12px; }
.hearing { display: none !important; }
.stream-lost, .stream-ended { display: none; color: #d97706; font-weight: 600; }
.status-items[data-stream=lost] .stream-lost, .status-items[data-stream=ended] .stream-ended { display: inline; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 14px; }
.curve { border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); padding: 12px 14px;
  min-width: 0; background: var(--block-background-fill); } .curve-plot { min-height: 240px; overflow: hidden; }
.curve-title { display: flex; justify-content: space-between; font-weight: 600; margin-bottom: 6px; }
.curve .curve-full { border: none; background: none; box-shadow: none; cursor: pointer;
  color: var(--body-text-color-subdued); padding: 0 4px; }
.curve .u-legend { font-family: var(--font); font-size: var(--text-sm); text-align: left; border: none !important; }
.curve .u-legend :is(tr, td, th) { border: none !important; padding: 0 4px; }
.curve:fullscreen { background: var(--body-background-fill); padding: 24px; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; overflow-wrap: anywhere; }
.facts dt { color: var(--body-text-color-subdued); } .facts dd { margin: 0; }
.facts a { padding: 0; margin: 0; }
.notice { border-left: 4px solid #d97706; padding: 6px 12px; margin: 6px 0; } .notice.bad { border-color: #dc2626; }
[data-testid="status-tracker"]:has(> .error) { display: none !important; } /* the toast says it, and what to do */
.notice a { padding: 0; margin: 0; }
.notice.good { border-color: #0d9488; }
.big-count { font-size: var(--text-xxl); font-weight: 650; font-variant-numeric: tabular-nums; }
.empty { color: var(--body-text-color-subdued); padding: 24px 0; text-align: center; }
.form-row { align-items: start; }
.subdued { color: var(--body-text-color-subdued); font-size: var(--text-sm); overflow-wrap: anywhere; }
.kept-lines { white-space: pre-wrap; }
.link-button { display: inline-block; padding: 9px 18px; border-radius: var(--radius-lg); font-weight: 600;
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color) !important;
  border: 1px solid var(--border-color-primary); text-decoration: none !important; }
form .link-button { cursor: pointer; font-size: inherit; }
.letter { position: relative; margin: 8px 0 14px; }
.letter pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; margin: 0 0 8px; padding: 12px 16px;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); }
.letter button { cursor: pointer; font-size: var(--text-sm); }
.plain-table { border: none !important; border-collapse: collapse; margin-top: 10px; font-size: var(--text-sm); }
.plain-table th, .plain-table td { padding: 4px 18px 4px 0; text-align: left; border: none;
  border-bottom: 1px solid var(--border-color-primary); }
.plain-table td { overflow-wrap: anywhere; min-width: 70px; } .table-box { overflow-x: auto; }
.plain-table td + td { font-variant-numeric: tabular-nums; }
.pager { justify-content: center; } .pager-text { text-align: center; color: var(--body-text-color-subdued); }
.pair-head { display: flex; flex-wrap: wrap; gap: 4px 18px; align-items: baseline; font-size: var(--text-sm);
  overflow-wrap: anywhere; }
.pair-head h3 { margin: 0; font-size: var(--text-lg); } .pair-head b { font-weight: 500;
  color: var(--body-text-color-subdued); margin-right: 4px; }
.pair-chat .md { white-space: pre-wrap; overflow-wrap: anywhere; }
.pair-chat .bubble-wrap { padding-top: 34px; } .pair-chat .top-panel { display: none; }
#dataset-table *, #dataset-raw *, #dataset-bad-table * { font-family: var(--font); }
#dataset-hub-hits .wrap { flex-direction: column; align-items: stretch; gap: 4px; max-height: 330px; flex-wrap: nowrap;
  overflow-y: auto; } #dataset-hub-hits label { overflow-wrap: anywhere; }
.plain-table thead, .plain-table tr { border: none !important; } .plain-table .number { white-space: nowrap; }
.wide { overflow-x: auto; } .wide table { min-width: 860px; }
#train-history *, #evaluate-history * { font-family: var(--font); }
@media (max-width: 820px) { #dataset-table .table-container, #dataset-raw .table-container { min-width: 820px; } }
@media (max-width: 640px) { .plain-table td { min-width: 0; } .plain-table :is(th, td) { padding-right: 10px; } }
@media (max-width: 640px) { .facts { grid-template-columns: 1fr; } .facts dd { margin-bottom: 6px; } }
"""
