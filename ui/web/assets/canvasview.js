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
  let at = { z: 1, x: 0, y: 0 },
    split = Easel.memory.get('canvas.split') ?? 50, // percent of the picture that shows what was before
    fitted = true, // the person has not zoomed or moved it
    images = new Map(), // address -> bitmap, or null on its way
    dirty = null, // of the picture; 'all' for the window
    frame = 0,
    touched = 0; // when the first input of this frame came

  // What is drawn

  const size = () => canvas.node?.source ?? { width: 1, height: 1 };

  /** The picture of an address; null until it is there. At most `keep` are held. */
  function image(address) {
    if (!address) return null;
    if (images.has(address)) {
      const found = images.get(address);
      images.delete(address);
      images.set(address, found); // the youngest now
      return found;
    }
    images.set(address, null);
    for (const [old, held] of [...images].slice(0, -6)) {
      held?.close();
      images.delete(old);
    }
    load(address).catch(error => {
      console.warn(error);
      images.delete(address); // it is asked for again
    });
    return null;
  }

  async function load(address) {
    const answer = await fetch(new URL(address, document.baseURI));
    if (!answer.ok) throw new Error(`${answer.status} ${address}`);
    const file = await answer.blob();
    const bitmap = file.type.startsWith('image/svg')
      ? await drawn(address)
      : await createImageBitmap(file, { colorSpaceConversion: 'default' });
    if (images.has(address)) images.set(address, bitmap);
    invalidate();
  }

  /** Drawings without pixels of their own, of which samples are made. */
  async function drawn(address) {
    const shown = new Image();
    shown.src = address;
    await shown.decode();
    const held = new OffscreenCanvas(512, 512);
    held.getContext('2d').drawImage(shown, 0, 0, 512, 512);
    return held.transferToImageBitmap();
  }

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
    const left = Math.floor((x * at.z + at.x) * d) - 2,
      top = Math.floor((y * at.z + at.y) * d) - 2;
    return [left, top, Math.ceil(w * at.z * d) + 5, Math.ceil(h * at.z * d) + 5];
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
    context.setTransform(at.z * d, 0, 0, at.z * d, at.x * d, at.y * d);
    context.imageSmoothingEnabled = at.z * d < CRISP;
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
    drawGround(width, height);
    const source = image(canvas.node.source.url);
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

  let squares = null;
  /** Under what is transparent: grey squares. */
  function drawGround(width, height) {
    if (!squares) {
      const tile = new OffscreenCanvas(16, 16);
      const paint = tile.getContext('2d');
      const style = getComputedStyle(document.body);
      paint.fillStyle = style.getPropertyValue('--control');
      paint.fillRect(0, 0, 16, 16);
      paint.fillStyle = style.getPropertyValue('--line-strong');
      paint.fillRect(0, 0, 8, 8);
      paint.fillRect(8, 8, 8, 8);
      squares = context.createPattern(tile, 'repeat');
    }
    squares.setTransform(new DOMMatrix().scale(1 / at.z));
    context.fillStyle = squares;
    context.fillRect(0, 0, width, height);
  }

  let lastPreview = null; // { job, bitmap }: shown until the next one is read
  /** The picture as it is being painted, where it will lie. */
  function drawPreview(live) {
    const told = repaint.sample ? { url: repaint.sample.preview } : Easel.live.look(live.job);
    const fresh = image(told?.url);
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
      const told = repaint.difference && image(repaint.difference.image);
      if (told) context.drawImage(told, x, y, w, h);
      return;
    }
    const after = image(shown.url);
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
    marks.replaceChildren(...frames(), ...shapes.map(shape => shape(at)));
    const { shown, view } = repaint;
    const isSplit = Boolean(canvas.node && shown && view === 'after');
    line.hidden = !isSplit;
    if (!isSplit) return;
    const { x, y, w, h } = placed(shown);
    line.style.height = `${h * at.z}px`;
    line.style.transform = `translate(${at.x + (x + (w * split) / 100) * at.z}px, ${at.y + y * at.z}px)`;
  }

  function frames() {
    if (!canvas.node || repaint.view !== 'mask' || !canvas.hasBorder() || !canvas.isMasked()) return [];
    const { left, top, right, bottom } = canvas.settings.border;
    const { width, height } = size();
    const place = {
      x: at.x - left * at.z,
      y: at.y - top * at.z,
      width: (width + left + right) * at.z,
      height: (height + top + bottom) * at.z,
    };
    return [svg('rect', { class: 'added', ...place })];
  }

  function setShapes(list) {
    shapes = list;
    drawMarks();
  }

  // Where it is

  function fit() {
    const { clientWidth: wide, clientHeight: high } = node;
    if (!wide || !canvas.node) return;
    const all = repaint.sides();
    const { left, top } = canvas.isMasked() ? canvas.settings.border : { left: 0, top: 0 };
    const isNarrow = wide <= NARROW;
    const aside = isNarrow ? 16 : 160; // the tools at the left, and as much at the right
    const above = isNarrow ? 72 : FREE,
      free = high - above - (isNarrow ? 166 : FREE);
    const z = Math.min((wide - aside) / all.width, free / all.height, HIGH);
    set(z, (wide - all.width * z) / 2 + left * z, above + (free - all.height * z) / 2 + top * z);
    fitted = true;
  }

  function set(z, x, y) {
    at = { z: Math.min(HIGH, Math.max(LOW, z)), x, y };
    fitted = false;
    invalidate();
    moved.tell();
  }

  /** Zooms by a factor; what lies under the point (of the window) stays there. */
  function zoom(factor, x = node.clientWidth / 2, y = node.clientHeight / 2) {
    const z = Math.min(HIGH, Math.max(LOW, at.z * factor));
    const share = z / at.z;
    set(z, x - (x - at.x) * share, y - (y - at.y) * share);
  }

  const toPicture = (x, y) => ({ x: (x - at.x) / at.z, y: (y - at.y) / at.z });

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

  function resize() {
    const d = devicePixelRatio;
    if (!node.clientWidth) return; // in a tab that is not shown
    sheet.width = Math.round(node.clientWidth * d);
    sheet.height = Math.round(node.clientHeight * d);
    if (fitted) fit();
    invalidate();
  }
  new ResizeObserver(resize).observe(node);

  let shownNode = null,
    shownScope = '',
    shownBorder = null;
  function follow() {
    const { scope, border } = canvas.settings;
    if (canvas.node && scope !== shownScope) lay(maskBits.all(size()));
    if (canvas.node !== shownNode || (fitted && border !== shownBorder)) fit();
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
  new MutationObserver(() => {
    squares = null;
    if (canvas.node) lay(maskBits.all(size()));
    invalidate();
  }).observe(document.body, { attributeFilter: ['class'] }); // dark or light

  return {
    node,
    moved,
    fit,
    zoom,
    set,
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
      return at;
    },
    get split() {
      return split;
    },
  };
};
