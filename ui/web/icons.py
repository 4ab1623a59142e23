"""One small icon set (24 px grid, 1.75 px stroke), for the page's scripts and as CSS masks for Gradio's own buttons."""

from urllib.parse import quote

PATHS = {
    "again": "M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5",
    "brush": "M4 20c0-3 1.5-5 3.5-5s3 1.5 3 3-2 2-6.5 2zM10 14 19 4l1 1-8.5 10.5",
    "check": "M5 12l5 5 9-10",
    "close": "M6 6l12 12M18 6 6 18",
    "contrast": "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
    "dice": "M4 4h16v16H4zM8.5 8.5h.2M15.5 8.5h.2M12 12h.2M8.5 15.5h.2M15.5 15.5h.2",
    "easel": "M12 2v3M5 5h14v10H5zM8 15l-3 7M16 15l3 7M12 15v4",
    "eraser": "M8 20h12M5 14l8-9 6 5-8 9H8z",
    "files": "M8 8h12v12H8zM4 16V5a1 1 0 0 1 1-1h11",
    "fill": "M4 13 11 6l7 7-6 6H9zM11 6 8 3M20 15c1 2 2 3 2 4a2 2 0 0 1-4 0c0-1 1-2 2-4",
    "fit": "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
    "generate": "M12 3v4M12 17v4M3 12h4M17 12h4M6 6l2.5 2.5M15.5 15.5 18 18M18 6l-2.5 2.5M8.5 15.5 6 18",
    "grid": "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
    "hand": (
        "M8 12V6a1.5 1.5 0 0 1 3 0v5V4.5a1.5 1.5 0 0 1 3 0V11V6a1.5 1.5 0 0 1 3 0v9a6 6 0 0 1-6 6c-3 0-4-2-7-6l2-1 2 2"
    ),
    "info": "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 11v5M12 8h.01",
    "inpaint": "M14 5l5 5M4 20c0-3 1-5 3-5s3 1 3 3-3 2-6 2zM9.5 14.5 18.5 4.5a1.8 1.8 0 0 1 2.5 2.5L11 15.5",
    "keep": "M6 4h12v16l-6-5-6 5z",
    "lasso": "M12 4c5 0 8 2 8 5s-3 5-8 5-8-2-8-5 3-5 8-5zM7 13c-2 1-2 4 0 4s2-3 1-4M7 17c0 2-1 3-2 4",
    "merge": "M6 4v4M6 12v8M12 4v10M12 18v2M18 4v2M18 10v10M4 10h4M10 16h4M16 8h4",
    "models": "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
    "more": "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
    "next": "M4 12h14M12 6l6 6-6 6",
    "open": "M4 6h5l2 2h9v11H4zM4 11h16",
    "plus": "M12 5v14M5 12h14",
    "rectangle": "M4 6h16v12H4z",
    "redo": "M15 7l4 4-4 4M19 11H9a5 5 0 0 0 0 10h4",
    "save": "M12 4v11M7 11l5 5 5-5M5 20h14",
    "search": "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
    "sun": (
        "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5"
        "M17.5 17.5 19 19M19 5l-1.5 1.5M6.5 17.5 5 19"
    ),
    "swap": "M4 8h14M14 4l4 4-4 4M20 16H6M10 12l-4 4 4 4",
    "trash": "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
    "upscale": "M14 4h6v6M20 4 10 14M19 14v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1h5",
    "undo": "M9 7l-4 4 4 4M5 11h10a5 5 0 0 1 0 10h-4",
    "warn": "M12 4 2.5 20h19zM12 10v4M12 17h.01",
}

TABS = ("generate", "inpaint", "upscale", "merge", "models")
"""The tabs there are; each has an icon of its name on the rail."""


def mask_css() -> str:
    """The rail's icons: Gradio draws the tabs, so they are masks that take the text's colour."""
    return "\n".join(_rule(f'[data-tab-id="{tab}"]', tab) for tab in TABS)


def _rule(selector: str, name: str) -> str:
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='1.75' "
        f"stroke-linecap='round' stroke-linejoin='round'><path d='{PATHS[name]}'/></svg>"
    )
    return f'{selector}{{--icon:url("data:image/svg+xml,{quote(svg)}")}}'
