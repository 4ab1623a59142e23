// The hand on the picture of the Upscale page: the splitter, moving and zooming, by mouse, finger or keyboard.
Easel.upscaleHand = view => {
  const { upscale } = Easel;
  const { node, handle } = view;
  const WHEEL = 500, // of it, zooms by e
    STEP = 48; // pixels that an arrow moves the picture by
  const pointers = new Map(); // those that are down
  let gesture = null; // (event) while something is dragged

  const placeOf = event => {
    const { left, top } = node.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const OVER = '.float, .hud, button, a, .problem, .files';
  const isFree = event => upscale.stage().frame && !event.target.closest(OVER);

  function panning(event) {
    const begin = placeOf(event);
    const { z, x, y } = view.at;
    node.classList.add('moving');
    return next => {
      const now = placeOf(next);
      view.set(z, x + now.x - begin.x, y + now.y - begin.y);
    };
  }

  function spread() {
    const [one, other] = [...pointers.values()];
    return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, far: Math.hypot(one.x - other.x, one.y - other.y) };
  }

  function pinching() {
    let last = spread();
    return () => {
      if (pointers.size < 2) return;
      const now = spread();
      view.set(view.at.z, view.at.x + now.x - last.x, view.at.y + now.y - last.y);
      view.zoom(now.far / Math.max(1, last.far), now.x, now.y);
      last = now;
    };
  }

  function splitting(event) {
    // The line keeps its distance from the pointer: it must not jump when it is taken.
    const off = view.split - view.splitAt(placeOf(event).x);
    return next => view.setSplit(view.splitAt(placeOf(next).x) + off);
  }

  node.addEventListener('pointerdown', event => {
    if (!isFree(event) || event.button > 1) return;
    pointers.set(event.pointerId, placeOf(event));
    node.setPointerCapture(event.pointerId);
    if (pointers.size === 2) gesture = pinching();
    else if (pointers.size === 1) gesture = event.target.closest('.splitter') ? splitting(event) : panning(event);
  });
  node.addEventListener('pointermove', event => {
    if (!pointers.has(event.pointerId)) return;
    pointers.set(event.pointerId, placeOf(event));
    gesture?.(event);
  });
  for (const name of ['pointerup', 'pointercancel'])
    node.addEventListener(name, event => {
      pointers.delete(event.pointerId);
      gesture = null;
      node.classList.remove('moving');
    });

  node.addEventListener(
    'wheel',
    event => {
      if (!isFree(event)) return;
      event.preventDefault();
      const { x, y } = placeOf(event);
      view.zoom(Math.exp(-event.deltaY / WHEEL), x, y);
    },
    { passive: false },
  );
  node.addEventListener('dblclick', event => {
    if (!isFree(event) || event.target.closest('.splitter')) return;
    const { x, y } = placeOf(event);
    if (view.percent === 100) view.fit();
    else view.zoom(1 / (view.at.z * devicePixelRatio), x, y);
  });

  handle.addEventListener('keydown', event => {
    const big = event.shiftKey ? 10 : 1;
    const to = {
      ArrowLeft: view.split - big,
      ArrowDown: view.split - big,
      ArrowRight: view.split + big,
      ArrowUp: view.split + big,
      PageDown: view.split - 10,
      PageUp: view.split + 10,
      Home: 0,
      End: 100,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    view.setSplit(to);
  });

  const move = (x, y) => () => view.set(view.at.z, view.at.x + x * STEP, view.at.y + y * STEP);
  const KEYS = {
    0: view.fit,
    1: view.whole,
    '+': () => view.zoom(1.25),
    '=': () => view.zoom(1.25),
    '-': () => view.zoom(0.8),
    ArrowLeft: move(1, 0),
    ArrowRight: move(-1, 0),
    ArrowUp: move(0, 1),
    ArrowDown: move(0, -1),
    b: () => upscale.setMode(upscale.mode === 'side' ? 'split' : 'side'),
    s: () => node.querySelector('.save')?.click(),
  };
  node.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.target !== node && event.target !== handle)) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
};
