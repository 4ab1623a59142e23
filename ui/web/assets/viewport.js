// What every sheet with a picture on it does alike: it lies at some zoom and place, fits itself to its window until the
// person moves it, and has grey squares under what is transparent.

/**
 * Of `sheet`, a canvas that fills `node`. { z, x, y } leads from the picture's pixels to the window's CSS pixels.
 * fit(): calls `set` so that all is in sight. onMove(): another zoom or place. onResize(): the canvas is empty now.
 */
Easel.viewport = ({ node, sheet, low, high, fit, onMove, onResize }) => {
  let at = { z: 1, x: 0, y: 0 },
    isFitted = true; // the person has not zoomed or moved it
  const bound = z => Math.min(high, Math.max(low, z));

  function set(z, x, y) {
    at = { z: bound(z), x, y };
    isFitted = false;
    onMove();
  }

  function refit() {
    fit();
    isFitted = true;
  }

  /** Zooms by a factor; what lies under the point (of the window, else its middle) stays there. */
  function zoom(factor, x = node.clientWidth / 2, y = node.clientHeight / 2) {
    const z = bound(at.z * factor);
    const share = z / at.z;
    set(z, x - (x - at.x) * share, y - (y - at.y) * share);
  }

  new ResizeObserver(() => {
    if (!node.clientWidth) return; // in a tab that is not shown
    sheet.width = Math.round(node.clientWidth * devicePixelRatio);
    sheet.height = Math.round(node.clientHeight * devicePixelRatio);
    if (isFitted) refit();
    onResize();
  }).observe(node);

  return {
    set,
    zoom,
    fit: refit,
    get at() {
      return at;
    },
    get isFitted() {
      return isFitted;
    },
  };
};

/** The grey squares under what is transparent, in the colours of the theme; `onTheme()` when that is another. */
Easel.squares = onTheme => {
  const SIDE = 8;
  let pattern = null;

  function made(context) {
    const tile = new OffscreenCanvas(2 * SIDE, 2 * SIDE);
    const paint = tile.getContext('2d');
    const style = getComputedStyle(document.body);
    paint.fillStyle = style.getPropertyValue('--control');
    paint.fillRect(0, 0, 2 * SIDE, 2 * SIDE);
    paint.fillStyle = style.getPropertyValue('--line-strong');
    paint.fillRect(0, 0, SIDE, SIDE);
    paint.fillRect(SIDE, SIDE, SIDE, SIDE);
    return context.createPattern(tile, 'repeat');
  }

  new MutationObserver(() => {
    pattern = null;
    onTheme();
  }).observe(document.body, { attributeFilter: ['class'] });

  /** Over (0, 0, width, height) of what `context` draws at zoom `z`; the squares are as large at every zoom. */
  return (context, z, width, height) => {
    pattern ??= made(context);
    pattern.setTransform(new DOMMatrix().scale(1 / z));
    context.fillStyle = pattern;
    context.fillRect(0, 0, width, height);
  };
};
