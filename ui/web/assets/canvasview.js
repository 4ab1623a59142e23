// How the canvas looks: the picture, the masks over it, what came of it, at any zoom. One canvas of the window's size
// is drawn, and of it only what has changed, so that a picture of twenty million pixels costs a stroke no more than a
// small one. Lengths are CSS pixels; the transform { z, x, y } leads from the picture's pixels to them.
Easel.canvasView = () => {
  const { make, svg, say, canvas, repaint, maskBits } = Easel;
  const FREE = 76, // above and below the picture when it is fitted: no palette covers it
    NARROW = 620, // then the tools lie under the picture
    LOW = 0.02,
    HIGH = 32,
    CRISP = 2; // from this zoom on pixels are shown as squares
  const moved = Easel.signal(); // () another zoom or place
  const sheet = make('canvas', { 'aria-hidden': 'true' });
  const context = sheet.getContext('2d');
  const marks = svg('svg', { class: 'marks', 'aria-hidden': 'true' });
  const labels = [make('b', {}, say('canvas.before')), make('em', {}, say('canvas.after'))];
  const line = make('i', { class: 'splitline', hidden: true }, labels);
  const node = make('div', { class: 'canvas-area' }, sheet, marks, line);
  const overlay = new OffscreenCanvas(1, 1);
  const over = overlay.getContext('2d', { willReadFrequently: true });
  const bitmaps = Easel.bitmaps(() => invalidate(), 6);
  const drawGround = Easel.squares(() => {
    if (canvas.node) lay(maskBits.all(size()));
    invalidate();
  });
  const port = Easel.viewport({
    node,
    sheet,
    low: LOW,
    high: HIGH,
    fit: layOut,
    onMove() {
      invalidate();
      moved.tell();
    },
    onResize: () => invalidate(),
  });
  let split = Easel.memory.get('canvas.split') ?? 50, // percent of the picture that shows what was before
    dirty = null, // of the picture; 'all' for the window
    frame = 0,
    touched = 0; // when the first input of this frame came

  // What is drawn

  const size = () => canvas.node?.source ?? { width: 1, height: 1 };

  const colours = () => {
    const style = getComputedStyle(document.body);
    return ['--mask-1', '--mask-2', '--mask-3', '--mask-4'].map(name => rgb(style.getPropertyValue(name)));
  };

  function rgb(text) {
    const number = parseInt(text.trim().slice(1), 16);
    return ((number & 255) << 16) | (number & 0xff00) | (number >> 16); // as little-endian pixels hold it
  }

  /** The masks as coloured light, for a rectangle of the picture: of several the strongest, or the one at hand. */
  function lay(rect) {
    const { width, height } = size();
    if (overlay.width !== width || overlay.height !== height) Object.assign(overlay, { width, height });
    const { x, y, w, h } = rect;
    const pixels = new ImageData(w, h);
    const out = new Uint32Array(pixels.data.buffer);
    const known = colours();
    const turn = canvas.settings.scope === 'else' ? 255 : 0;
    const layers = canvas.layers().map(({ key }, k) => ({ key, data: canvas.maskOf(key).data, colour: known[k % 4] }));
    layers.sort((one, other) => (one.key === canvas.active) - (other.key === canvas.active));
    for (const { data, colour } of layers) {
      for (let row = 0; row < h; row += 1) {
        const from = (y + row) * width + x,
          to = row * w;
        for (let k = 0; k < w; k += 1) {
          const value = data[from + k] ^ turn; // 255 - value, where it is turned round
          if (value && value >= out[to + k] >>> 24) out[to + k] = (value << 24) | colour;
        }
      }
    }
    over.putImageData(pixels, x, y);
  }

  function invalidate(rect = 'all') {
    dirty = dirty === 'all' || rect === 'all' ? 'all' : maskBits.joined(dirty, rect);
    frame ||= requestAnimationFrame(compose);
  }

  /** The device's pixels that show a rectangle of the picture, with a pixel to spare for smoothing. */
  function onScreen({ x, y, w, h }) {
    const d = devicePixelRatio;
    const left = Math.floor((x * port.at.z + port.at.x) * d) - 2,
      top = Math.floor((y * port.at.z + port.at.y) * d) - 2;
    return [left, top, Math.ceil(w * port.at.z * d) + 5, Math.ceil(h * port.at.z * d) + 5];
  }

  function compose() {
    const began = performance.now();
    frame = 0;
    const rect = dirty;
    dirty = null;
    const d = devicePixelRatio;
    context.save();
    context.beginPath();
    context.rect(...(rect === 'all' ? [0, 0, sheet.width, sheet.height] : onScreen(rect)));
    context.clip();
    context.clearRect(0, 0, sheet.width, sheet.height);
    context.setTransform(port.at.z * d, 0, 0, port.at.z * d, port.at.x * d, port.at.y * d);
    context.imageSmoothingEnabled = port.at.z * d < CRISP;
    context.imageSmoothingQuality = 'high';
    if (canvas.node) drawAll();
    context.restore();
    if (rect === 'all') drawMarks();
    if (touched) {
      performance.measure('canvas.stroke', { start: touched });
      performance.measure('canvas.draw', { start: began });
      performance.clearMeasures(); // told to whoever observes, and not kept
      touched = 0;
    }
  }

  function drawAll() {
    const { width, height } = size();
    drawGround(context, port.at.z, width, height);
    const source = bitmaps.get(canvas.node.source.url);
    if (source) context.drawImage(source, 0, 0, width, height);
    const { view, shown, live } = repaint;
    if (view === 'mask') {
      if (live && (live.isAsked || repaint.sample)) drawPreview(live);
      else if (canvas.isMasked()) {
        context.globalAlpha = 0.55;
        context.drawImage(overlay, 0, 0);
        context.globalAlpha = 1;
      }
    } else if (shown) drawResult(shown, view);
  }

  let lastPreview = null; // { job, bitmap }: shown until the next one is read
  /** The picture as it is being painted, where it will lie. */
  function drawPreview(live) {
    const told = repaint.sample ? { url: repaint.sample.preview } : Easel.live.look(live.job);
    const fresh = bitmaps.get(told?.url);
    if (fresh) lastPreview = { job: live.job, bitmap: fresh };
    const isOfThis = lastPreview && lastPreview.job === live.job && lastPreview.bitmap.width;
    const preview = isOfThis ? lastPreview.bitmap : null;
    const { border } = canvas.settings;
    const { width, height } = repaint.sides();
    const [left, top, right, bottom] = told?.box ?? [0, 0, width, height];
    if (!preview) return;
    const place = [left - border.left, top - border.top, right - left, bottom - top];
    if (!canvas.isMasked() || canvas.hasBorder() || repaint.sample) context.drawImage(preview, ...place);
    else drawThroughMask(preview, place);
  }

  /** Only where it is painted, and as much. */
  function drawThroughMask(preview, place) {
    const stencil = new OffscreenCanvas(sheet.width, sheet.height);
    const through = stencil.getContext('2d');
    through.setTransform(context.getTransform());
    through.drawImage(preview, ...place);
    through.globalCompositeOperation = 'destination-in';
    through.drawImage(overlay, 0, 0);
    context.save();
    context.resetTransform();
    context.drawImage(stencil, 0, 0);
    context.restore();
  }

  /** What was added around it lies outside of it. */
  function placed(result) {
    const { left = 0, top = 0, right = 0, bottom = 0 } = result.request?.border ?? {};
    const { width, height } = size();
    return { x: -left, y: -top, w: width + left + right, h: height + top + bottom };
  }

  function drawResult(shown, view) {
    const { x, y, w, h } = placed(shown);
    if (view === 'difference') {
      const told = repaint.difference && bitmaps.get(repaint.difference.image);
      if (told) context.drawImage(told, x, y, w, h);
      return;
    }
    const after = bitmaps.get(shown.url);
    if (!after) return;
    const edge = x + (w * split) / 100;
    context.save();
    context.beginPath();
    context.rect(edge, y, w + x - edge, h);
    context.clip();
    context.drawImage(after, x, y, w, h);
    context.restore();
  }

  // Lines over it, as sharp at every zoom

  let shapes = []; // of the tool at hand, in the picture's pixels
  function drawMarks() {
    marks.replaceChildren(...frames(), ...shapes.map(shape => shape(port.at)));
    const { shown, view } = repaint;
    const isSplit = Boolean(canvas.node && shown && view === 'after');
    line.hidden = !isSplit;
    if (!isSplit) return;
    const { x, y, w, h } = placed(shown);
    line.style.height = `${h * port.at.z}px`;
    const left = port.at.x + (x + (w * split) / 100) * port.at.z;
    line.style.transform = `translate(${left}px, ${port.at.y + y * port.at.z}px)`;
  }

  function frames() {
    if (!canvas.node || repaint.view !== 'mask' || !canvas.hasBorder() || !canvas.isMasked()) return [];
    const { left, top, right, bottom } = canvas.settings.border;
    const { width, height } = size();
    const place = {
      x: port.at.x - left * port.at.z,
      y: port.at.y - top * port.at.z,
      width: (width + left + right) * port.at.z,
      height: (height + top + bottom) * port.at.z,
    };
    return [svg('rect', { class: 'added', ...place })];
  }

  function setShapes(list) {
    shapes = list;
    drawMarks();
  }

  // Where it is

  function layOut() {
    const { clientWidth: wide, clientHeight: high } = node;
    if (!wide || !canvas.node) return;
    const all = repaint.sides();
    const { left, top } = canvas.isMasked() ? canvas.settings.border : { left: 0, top: 0 };
    const isNarrow = wide <= NARROW;
    const aside = isNarrow ? 16 : 160; // the tools at the left, and as much at the right
    const above = isNarrow ? 72 : FREE,
      free = high - above - (isNarrow ? 166 : FREE);
    const z = Math.min((wide - aside) / all.width, free / all.height, HIGH);
    port.set(z, (wide - all.width * z) / 2 + left * z, above + (free - all.height * z) / 2 + top * z);
  }

  const toPicture = (x, y) => ({ x: (x - port.at.x) / port.at.z, y: (y - port.at.y) / port.at.z });

  function setSplit(percent) {
    split = Math.min(100, Math.max(0, percent));
    Easel.memory.set('canvas.split', split);
    invalidate();
    moved.tell();
  }

  /** The share of the picture, in percent, that lies left of a place of the window. */
  function splitAt(x) {
    const { x: from, w } = placed(repaint.shown);
    return ((toPicture(x, 0).x - from) / w) * 100;
  }

  let shownNode = null,
    shownScope = '',
    shownBorder = null;
  function follow() {
    const { scope, border } = canvas.settings;
    if (canvas.node && scope !== shownScope) lay(maskBits.all(size()));
    if (canvas.node !== shownNode || (port.isFitted && border !== shownBorder)) port.fit();
    [shownNode, shownScope, shownBorder] = [canvas.node, scope, border];
    invalidate();
  }
  canvas.changed.on(follow);
  canvas.drawn.on(rect => {
    if (!canvas.node) return;
    lay(rect ?? maskBits.all(size()));
    invalidate(rect ?? 'all');
  });
  repaint.changed.on(() => invalidate());
  return {
    node,
    moved,
    fit: port.fit,
    zoom: port.zoom,
    set: port.set,
    setSplit,
    splitAt,
    setShapes,
    toPicture,
    invalidate,
    begin() {
      if (canvas.node) lay(maskBits.all(size()));
      follow();
    },
    /** An input has come that the next frame answers. */
    touch: time => {
      touched ||= time;
    },
    get at() {
      return port.at;
    },
    get split() {
      return split;
    },
  };
};
