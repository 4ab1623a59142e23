"""Every value of Gradio's theme points at one of our tokens, in light and dark alike; `tokens.css` has the colours."""

import gradio as gr

COLOURS = {
    "body_background_fill": "var(--bg)",
    "body_text_color": "var(--text)",
    "body_text_color_subdued": "var(--muted)",
    "background_fill_primary": "var(--panel)",
    "background_fill_secondary": "var(--panel)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--accent)",
    "color_accent_soft": "var(--accent-soft)",
    "block_background_fill": "transparent",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_label_text_color": "var(--muted)",
    "block_title_text_color": "var(--muted)",
    "input_background_fill": "var(--control)",
    "input_background_fill_focus": "var(--control)",
    "input_border_color": "var(--line)",
    "input_border_color_focus": "var(--accent-text)",
    "input_border_width": "1px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "input_placeholder_color": "var(--faint)",
    "panel_border_width": "0px",
}
SHAPES = {
    "block_padding": "0",
    "layout_gap": "16px",
    "form_gap_width": "0px",
    "input_padding": "0 10px",
    "input_radius": "6px",
    "block_radius": "0",
}


def theme() -> gr.themes.Base:
    """Gradio's plainest theme, drawn with our tokens and the system's own fonts."""
    base = gr.themes.Base(font=["Segoe UI", "Roboto", "Liberation Sans", "sans-serif"], font_mono=["monospace"])
    dark = {f"{name}_dark": value for name, value in COLOURS.items() if hasattr(base, f"{name}_dark")}
    return base.set(**COLOURS, **SHAPES, **dark)
