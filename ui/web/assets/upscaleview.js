// How source and result look: in one frame under a splitter, or side by side, at any zoom. One canvas of the window's
// size is drawn. Of pictures too large for a browser the studio sends a small version, and the part that is looked at.
// Lengths are CSS pixels; { z, x, y } leads from the frame's pixels to those of a pane; all panes share it.
Easel.upscaleView = () => {
  const { make, patch, say, upscale } = Easel;
  const LOW = 0.005,
    HIGH = 32,
    CRISP = 3, // from this zoom on pixels are shown as squares
    BASE = 2048, // side of the small version of larger ones
    REST = 140; // ms that the view stands still before a part of a larger one is asked for
  const moved = Easel.signal(); // () another zoom or place
  const sheet = make('canvas', { 'aria-hidden': 'true' });
  const context = sheet.getContext('2d');
  const labels = make('div', { class: 'panelabels' });
  const handle = make(
    'div',
    {
      class: 'splitter',
      role: 'slider',
      tabindex: 0,
      'aria-label': say('upscale.split'),
      'aria-orientation': 'horizontal',
      'aria-valuemin': 0,
      'aria-valuemax': 100,
    },
    make('b', {}, say('canvas.before')),
    make('em', {}, say('canvas.after')),
    make('i', { class: 'knob' }),
  );
  const kept = make('div', { class: 'keptline', hidden: true }, make('span', {}, say('upscale.kept.line')));
  const node = make('div', { class: 'upscale-area' }, sheet, labels, kept, handle);
  const bitmaps = Easel.bitmaps(invalidate);
  const parts = new Map(); // layer -> { box, address }: of a larger picture the part that was looked at last
  const drawGround = Easel.squares(invalidate);
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
    onResize: compose,
  });
  let split = Easel.memory.get('upscale.split') ?? 50,
    scene = { name: 'empty' },
    frame = 0,
    resting = 0;

  // What is drawn: layers { key, url, look, width, height, part }; `look`: what smaller versions are asked from

  const isHuge = ({ look, width, height }) => Boolean(look) && Easel.pictures.isHuge({ width, height });
  const lookAt = (url, query) => Easel.pictures.look({ url }, query);

  function sourceLayer() {
    const { before, part } = scene;
    if (!before) return null;
    const look = before.image ? `/api/images/${before.image}` : before.url;
    return { key: `source ${before.id}`, look, url: before.url, width: before.width, height: before.height, part };
  }

  function resultLayer(picture) {
    const { id, url, width, height } = picture;
    return { key: `result ${id}`, look: url, url, width, height, part: [0, 0, width, height] };
  }

  /** Panes from left to right: what lies in each, and what is written over it. */
  function panes() {
    const { name, after } = scene;
    const source = sourceLayer();
    if (name !== 'done') return [{ layers: [source] }];
    const result = resultLayer(after);
    if (upscale.mode === 'levels')
      return upscale.siblings(after).map(one => ({ layers: [resultLayer(one)], picture: one, label: level(one) }));
    if (upscale.mode === 'side' && source)
      return [
        { layers: [source], label: say('canvas.before') },
        { layers: [result], label: say('canvas.after') },
      ];
    return [{ layers: [source, result] }];
  }

  const level = picture => say('upscale.level', { n: picture.asked.noise_levels[picture.index] });

  /** Where each pane lies in the window. */
  function grid(count) {
    const { clientWidth: wide, clientHeight: high } = node;
    const isTall = wide < high;
    const across = count < 3 ? (isTall ? 1 : count) : Math.ceil(Math.sqrt(count));
    const down = Math.ceil(count / across);
    const [w, h] = [wide / across, high / down];
    return { w, h, places: Array.from({ length: count }, (_, k) => [(k % across) * w, Math.floor(k / across) * h]) };
  }

  function invalidate() {
    frame ||= requestAnimationFrame(compose);
  }

  function compose() {
    frame = 0;
    const d = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, sheet.width, sheet.height);
    if (!scene.frame) return place([]);
    const shown = panes();
    const { w, h, places } = grid(shown.length);
    shown.forEach((pane, k) => {
      const [x, y] = places[k];
      context.save();
      context.beginPath();
      context.rect(x * d, y * d, w * d, h * d);
      context.clip();
      context.setTransform(port.at.z * d, 0, 0, port.at.z * d, (x + port.at.x) * d, (y + port.at.y) * d);
      context.imageSmoothingEnabled = port.at.z * d < CRISP;
      context.imageSmoothingQuality = 'high';
      drawPane(pane);
      context.restore();
    });
    place(shown, places, { w, h });
    clearTimeout(resting);
    resting = setTimeout(() => askForParts(shown, w, h), REST);
  }

  function drawPane({ layers }) {
    const { width, height } = scene.frame;
    const [first, second] = layers;
    if (first) draw(first);
    if (scene.name === 'running') drawPreview();
    if (!second) return;
    const edge = first ? (width * split) / 100 : 0;
    context.beginPath();
    context.rect(edge, -1, width - edge + 1, height + 2);
    context.clip();
    draw(second);
  }

  const baseOf = layer => (isHuge(layer) ? lookAt(layer.look, { width: BASE }) : layer.url);

  /** A layer stretched over the frame; of a larger one also the part that is looked at. */
  function draw(layer) {
    const { width, height } = scene.frame;
    const [left, top, w, h] = layer.part;
    const bitmap = bitmaps.get(baseOf(layer));
    if (!bitmap) return;
    drawGround(context, port.at.z, width, height);
    const [sx, sy] = [bitmap.width / layer.width, bitmap.height / layer.height];
    context.drawImage(bitmap, left * sx, top * sy, w * sx, h * sy, 0, 0, width, height);
    const found = parts.get(layer.key);
    const detail = found && isHuge(layer) && bitmaps.get(found.address);
    if (!detail) return;
    const [x0, y0, x1, y1] = found.box;
    const [zx, zy] = [width / w, height / h];
    context.drawImage(detail, (x0 - left) * zx, (y0 - top) * zy, (x1 - x0) * zx, (y1 - y0) * zy);
  }

  let lastPreview = null; // { job, bitmap }: shown until the next one is read
  function drawPreview() {
    const { width, height } = scene.frame;
    const told = upscale.sample ? { url: scene.preview } : Easel.live.look(scene.job);
    const fresh = bitmaps.get(told?.url);
    if (fresh) lastPreview = { job: scene.job, bitmap: fresh };
    if (!lastPreview?.bitmap.width || lastPreview.job !== scene.job) return;
    const [left, top, right, bottom] = told?.box ?? [0, 0, width, height];
    context.drawImage(lastPreview.bitmap, left, top, right - left, bottom - top);
  }

  /** Of larger pictures the part in sight, as large as it is seen. */
  function askForParts(shown, w, h) {
    const { width, height } = scene.frame;
    for (const layer of shown.flatMap(pane => pane.layers).filter(Boolean).filter(isHuge)) {
      const [left, top, pw, ph] = layer.part;
      const [zx, zy] = [pw / width, ph / height]; // the layer's pixels to one of the frame
      const seen = (port.at.z * devicePixelRatio) / zx; // the window's pixels to one of the layer's
      if (seen * Math.max(layer.width, layer.height) <= BASE * 1.1) continue;
      const bound = (value, most) => Math.min(most, Math.max(0, value));
      const box = [
        Math.floor(bound(left + (-port.at.x / port.at.z) * zx, layer.width)),
        Math.floor(bound(top + (-port.at.y / port.at.z) * zy, layer.height)),
        Math.ceil(bound(left + ((w - port.at.x) / port.at.z) * zx, layer.width)),
        Math.ceil(bound(top + ((h - port.at.y) / port.at.z) * zy, layer.height)),
      ];
      if (box[2] <= box[0] || box[3] <= box[1]) continue;
      const most = Math.max(box[2] - box[0], box[3] - box[1]); // the studio counts the longer side
      const wide = Math.min(4096, Math.max(16, Math.ceil(most * Math.min(1, seen))));
      const address = lookAt(layer.look, { width: wide, box: box.join() });
      if (parts.get(layer.key)?.address === address) continue;
      parts.set(layer.key, { box, address });
      invalidate();
    }
  }

  // What lies over it

  function place(shown, places = [], pane = {}) {
    const isSplit = scene.name === 'done' && shown.length === 1 && shown[0].layers.every(Boolean);
    handle.hidden = !isSplit;
    if (isSplit) {
      const { width, height } = scene.frame;
      const top = Math.max(0, port.at.y),
        bottom = Math.min(node.clientHeight, port.at.y + height * port.at.z);
      handle.style.setProperty('--py', `${Math.max(10, 62 - top)}px`); // below what floats above
      handle.style.height = `${Math.max(0, bottom - top)}px`;
      handle.style.transform = `translate(${port.at.x + (width * split * port.at.z) / 100}px, ${top}px)`;
      patch.attribute(handle, 'aria-valuenow', Math.round(split));
      patch.attribute(handle, 'aria-valuetext', say('upscale.split.at', { n: Math.round(split) }));
    }
    placeKept(shown.length === 1);
    const several = shown.length > 1;
    labels.classList.toggle('above', upscale.mode === 'side');
    Easel.renew(
      labels,
      several &&
        shown.map(({ label, picture }, k) =>
          make(
            'div',
            { 'data-key': label, ...boxed(places[k], pane) },
            make('span', {}, label),
            picture &&
              make(
                'button',
                {
                  class: 'btn',
                  'data-key': `keep ${picture.id}`,
                  title: say('upscale.keep.title'),
                  'aria-label': say('upscale.keep.this', { label }),
                  onclick: () => upscale.keep(picture),
                },
                say('upscale.keep'),
              ),
          ),
        ),
    );
  }

  /** Of a picture that was stopped: where what was finished ends. */
  function placeKept(isAlone) {
    const told = scene.name === 'done' && isAlone && Easel.upscaleTold(scene.after.infotext, 'Finished');
    kept.hidden = !told;
    if (!told) return;
    const { width, height } = scene.frame;
    kept.style.width = `${width * port.at.z}px`;
    kept.style.transform = `translate(${port.at.x}px, ${port.at.y + (height * port.at.z * parseFloat(told)) / 100}px)`;
  }

  const boxed = ([x, y], { w, h }) => ({ '--px': `${x}px`, '--py': `${y}px`, '--w': `${w}px`, '--h': `${h}px` });

  // Where it is

  /** All of it in sight, free of what floats above and below. */
  function layOut() {
    const { w, h } = grid(scene.frame ? panes().length : 1);
    if (!w || !scene.frame) return;
    const { width, height } = scene.frame;
    const isAlone = w === node.clientWidth && h === node.clientHeight;
    const isNarrow = node.clientWidth <= 620;
    const list = node.classList.contains('with-files') && isAlone && !isNarrow ? 304 : 0;
    const hud = node.querySelector('.hud:not([hidden])')?.offsetHeight ?? 0;
    const above = 60,
      below = isAlone && hud ? hud + (isNarrow ? 8 : 32) : 16,
      aside = isNarrow ? 0 : 16;
    const free = { w: w - 2 * aside - list, h: h - above - below };
    const z = Math.min(free.w / width, free.h / height, HIGH);
    port.set(z, aside + (free.w - width * z) / 2, above + (free.h - height * z) / 2);
  }

  /** Zooms by a factor; what lies under the point (of the window) stays there, in every pane. */
  function zoom(factor, x = node.clientWidth / 2, y = node.clientHeight / 2) {
    const { w, h } = grid(panes().length);
    port.zoom(factor, x % w, y % h);
  }

  /** One pixel of the result for one of the screen. */
  function whole() {
    const { w, h } = grid(panes().length);
    zoom(1 / (port.at.z * devicePixelRatio), w / 2, h / 2);
    port.set(port.at.z, Math.round(port.at.x), Math.round(port.at.y)); // so that pixels meet pixels
  }

  function setSplit(percent) {
    split = Math.min(100, Math.max(0, percent));
    Easel.memory.set('upscale.split', split);
    invalidate();
    moved.tell();
  }

  const splitAt = x => ((x - port.at.x) / port.at.z / scene.frame.width) * 100;

  let framed = '';
  /** What stands there now; another frame is fitted anew, another mode too. */
  function show(now) {
    scene = now;
    const { width = 0, height = 0 } = scene.frame ?? {};
    const list = node.classList.contains('with-files');
    const how = scene.name === 'done' ? upscale.mode : '';
    const key = [scene.before?.id ?? scene.after?.id, width, height, how, list].join();
    if (key !== framed) {
      framed = key;
      if (upscale.mode === 'side' && scene.name === 'done') fitOrWhole();
      else port.fit();
    }
    invalidate();
  }

  /** Side by side pixels are compared: pixel for pixel, unless all of it is smaller than that. */
  function fitOrWhole() {
    port.fit();
    if (port.at.z * devicePixelRatio >= 1) return;
    whole();
  }

  return {
    node,
    handle,
    moved,
    show,
    fit: port.fit,
    zoom,
    whole,
    set: port.set,
    setSplit,
    splitAt,
    get at() {
      return port.at;
    },
    get split() {
      return split;
    },
    get percent() {
      return Math.round(port.at.z * devicePixelRatio * 100);
    },
  };
};
