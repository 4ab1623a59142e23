// The hand on the canvas: brush, eraser, rectangle, lasso, fill and move, by mouse, pen, finger or keyboard.
Easel.canvasHand = view => {
  const { make, svg, canvas, repaint, maskBits, memory, signal } = Easel;
  const changed = signal(); // () another tool, or another brush
  const FIRST = { tool: 'brush', size: 24, hardness: 0.8, strength: 1 }; // size: radius in the picture's pixels
  const MOST = 1000,
    WHEEL = 500, // of it, zooms by e
    LIGHTEST = 0.2; // of the brush's size, where a pen hardly presses
  const KEYS = { b: 'brush', e: 'eraser', r: 'rectangle', l: 'lasso', f: 'fill', h: 'hand' };
  let brush = { ...FIRST, ...memory.get('brush') };
  let gesture = null, // what goes on: { move, end, cancel }
    pointers = new Map(), // fingers
    hand = null, // the pointer that draws
    hasPen = false, // then fingers only move
    isSpaceDown = false,
    lastPoint = null; // where the last stroke ended: Shift draws a line from there
  const ring = make('i', { class: 'brushring', hidden: true });
  const { node } = view;
  node.append(ring);

  function change(what) {
    brush = { ...brush, ...what };
    brush.size = Math.min(MOST, Math.max(1, brush.size));
    memory.set('brush', brush);
    if (what.tool) cursor.forget();
    cursor.show();
    changed.tell();
  }

  const how = event => ({
    hardness: brush.hardness,
    strength: brush.strength,
    erases: brush.tool === 'eraser' || Boolean(event?.altKey) || event?.buttons === 2,
  });

  function pointOf(event) {
    const { left, top } = node.getBoundingClientRect();
    const { x, y } = view.toPicture(event.clientX - left, event.clientY - top);
    const isPen = event.pointerType === 'pen' && event.pressure > 0;
    const radius = brush.size * (isPen ? LIGHTEST + (1 - LIGHTEST) * event.pressure : 1);
    return { x, y, radius };
  }

  const placeOf = event => {
    const { left, top } = node.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };

  // Gestures: each has move(event), end(event) and cancel()

  function panning(event) {
    const begin = placeOf(event);
    const { z, x, y } = view.at;
    return {
      move(next) {
        const now = placeOf(next);
        view.set(z, x + now.x - begin.x, y + now.y - begin.y);
      },
      end() {},
      cancel() {},
    };
  }

  function pinching() {
    const spread = () => {
      const [one, other] = [...pointers.values()];
      return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, far: Math.hypot(one.x - other.x, one.y - other.y) };
    };
    let last = spread();
    return {
      isPinch: true,
      move() {
        if (pointers.size < 2) return;
        const now = spread();
        view.set(view.at.z, view.at.x + now.x - last.x, view.at.y + now.y - last.y);
        view.zoom(now.far / Math.max(1, last.far), now.x, now.y);
        last = now;
      },
      end() {},
      cancel() {},
    };
  }

  const splitting = () => ({
    move: event => view.setSplit(view.splitAt(placeOf(event).x)),
    end() {},
    cancel() {},
  });

  function stroking(event) {
    const manner = how(event);
    let last = pointOf(event);
    canvas.beginStroke();
    const draw = (from, to) => canvas.stroke((mask, before) => maskBits.stroke(mask, before, from, to, manner));
    if (event.shiftKey && lastPoint) draw({ ...lastPoint, radius: last.radius }, last);
    else draw(last, last);
    return {
      move(next) {
        // All places it passed since the last frame, so that a quick stroke is as round as it was drawn.
        const passed = next.getCoalescedEvents?.() ?? [];
        for (const one of passed.length ? passed : [next]) {
          const point = pointOf(one);
          draw(last, point);
          last = point;
        }
      },
      end() {
        lastPoint = last;
        canvas.endStroke();
      },
      cancel: canvas.cancelStroke,
    };
  }

  const outline = (tag, attributes) => svg(tag, { class: 'outline', ...attributes });
  const screen = (at, { x, y }) => [x * at.z + at.x, y * at.z + at.y];

  const rectangle = (from, to) => at => {
    const [x, y] = screen(at, { x: Math.min(from.x, to.x), y: Math.min(from.y, to.y) });
    return outline('rect', { x, y, width: Math.abs(to.x - from.x) * at.z, height: Math.abs(to.y - from.y) * at.z });
  };
  const line = points => at =>
    outline('polyline', { points: points.map(point => screen(at, point).join()).join(' ') });

  function drawingRectangle(event) {
    const manner = how(event);
    const from = pointOf(event);
    let to = from;
    return {
      move(next) {
        to = pointOf(next);
        view.setShapes([rectangle(from, to)]);
      },
      end() {
        view.setShapes([]);
        canvas.edit(mask => maskBits.rectangle(mask, from, to, manner));
      },
      cancel: () => view.setShapes([]),
    };
  }

  function drawingLasso(event) {
    const manner = how(event);
    const points = [pointOf(event)];
    return {
      move(next) {
        const passed = next.getCoalescedEvents?.() ?? [];
        points.push(...(passed.length ? passed : [next]).map(pointOf));
        view.setShapes([line([...points, points[0]])]);
      },
      end() {
        view.setShapes([]);
        canvas.edit(mask => maskBits.lasso(mask, points, manner));
      },
      cancel: () => view.setShapes([]),
    };
  }

  function filling(event) {
    canvas.edit(mask => maskBits.fill(mask, pointOf(event), how(event)));
    return null;
  }

  const TOOLS = {
    brush: stroking,
    eraser: stroking,
    rectangle: drawingRectangle,
    lasso: drawingLasso,
    fill: filling,
    hand: panning,
  };

  function begin(event) {
    const isMoving = event.button === 1 || isSpaceDown || (hasPen && event.pointerType === 'touch');
    if (isMoving) return panning(event);
    if (repaint.view === 'after' && repaint.shown && brush.tool !== 'hand') return splitting();
    if (repaint.view !== 'mask') return panning(event);
    return TOOLS[brush.tool](event);
  }

  node.addEventListener('pointerdown', event => {
    if (!canvas.node || event.target.closest('.float, button, input, a, .problem')) return;
    if (event.pointerType === 'pen') hasPen = true;
    const isFinger = event.pointerType === 'touch';
    if (isFinger && gesture && !pointers.size) return; // a palm beside the pen
    if (isFinger) pointers.set(event.pointerId, placeOf(event));
    if (pointers.size === 2) {
      gesture?.cancel(); // the first finger was no stroke
      gesture = pinching();
      return;
    }
    if (gesture) return;
    hand = event.pointerId;
    node.setPointerCapture(event.pointerId);
    view.touch(event.timeStamp);
    gesture = begin(event);
    canvas.hold(Boolean(gesture));
  });

  node.addEventListener('pointermove', event => {
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, placeOf(event));
    if (gesture && !gesture.isPinch && event.pointerId !== hand) return;
    if (gesture) view.touch(event.timeStamp);
    gesture?.move(event);
    showRing(placeOf(event));
  });

  function lift(event) {
    pointers.delete(event.pointerId);
    if (gesture?.isPinch ? pointers.size : event.pointerId !== hand) return; // another is still down
    gesture?.[event.type === 'pointerup' ? 'end' : 'cancel'](event);
    gesture = null;
    canvas.hold(false);
  }
  node.addEventListener('pointerup', lift);
  node.addEventListener('pointercancel', lift);
  node.addEventListener('pointerleave', () => {
    if (!gesture) ring.hidden = true;
  });
  node.addEventListener('contextmenu', event => {
    if (!event.target.closest('input, textarea')) event.preventDefault(); // the right button erases
  });

  node.addEventListener(
    'wheel',
    event => {
      if (event.target.closest('.float') || !canvas.node) return;
      event.preventDefault();
      const { x, y } = placeOf(event);
      const lines = event.deltaMode ? 16 : 1;
      if (event.altKey) change({ size: brush.size * Math.exp((-lines * event.deltaY) / WHEEL) });
      else view.zoom(Math.exp((-lines * (event.deltaY || event.deltaX)) / (event.ctrlKey ? 100 : WHEEL)), x, y);
      showRing({ x, y });
    },
    { passive: false },
  );

  /** As large as the brush, where it would paint. */
  function showRing({ x, y }) {
    const isBrush = ['brush', 'eraser'].includes(brush.tool) && repaint.view === 'mask' && canvas.node;
    ring.hidden = !isBrush || isSpaceDown;
    const radius = brush.size * view.at.z;
    ring.style.width = ring.style.height = `${2 * radius}px`;
    ring.style.transform = `translate(${x - radius}px, ${y - radius}px)`;
  }

  const cursor = Easel.canvasCursor(view, { how, current: () => brush, shapes: { outline, screen, rectangle, line } });
  const KEYED = new Set(['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']);

  let isOver = false; // the pointer is over the canvas
  node.addEventListener('pointerenter', () => {
    isOver = true;
    if (document.activeElement === document.body) node.focus({ preventScroll: true });
  });
  node.addEventListener('pointerleave', () => {
    isOver = false;
  });

  function key(event) {
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!canvas.node || !node.offsetParent || Easel.isTyping(event.target)) return false;
    if (name === ' ' && (isOver || event.target === node)) {
      isSpaceDown = true;
      node.classList.add('moving');
      return true;
    }
    if (event.target !== node || gesture) return false;
    if (repaint.view === 'after' && ['ArrowLeft', 'ArrowRight'].includes(name))
      view.setSplit(view.split + (name === 'ArrowLeft' ? -2 : 2));
    else if (KEYED.has(name)) cursor.move(event);
    else if (event.ctrlKey || event.metaKey || event.altKey) return false;
    else if (name === 'Enter') cursor.press(event.shiftKey);
    else if (KEYS[name]) {
      choose(KEYS[name]);
    } else if (name === '[' || name === ']') change({ size: brush.size * (name === ']' ? 1.15 : 1 / 1.15) });
    else if (name === '+' || name === '=') cursor.zoom(1.25);
    else if (name === '-') cursor.zoom(0.8);
    else if (name === '0') view.fit();
    else if (name === '1') view.zoom(1 / (view.at.z * devicePixelRatio));
    else return false;
    return true;
  }

  /** Takes a tool into the hand, and the mask into view if it is one that paints. */
  function choose(tool) {
    change({ tool });
    if (tool !== 'hand' && repaint.view !== 'mask') repaint.setView('mask');
    node.focus({ preventScroll: true });
  }

  function letSpaceGo() {
    isSpaceDown = false;
    node.classList.remove('moving');
  }
  addEventListener('keydown', event => {
    if (key(event)) event.preventDefault();
  });
  addEventListener('keyup', event => {
    if (event.key === ' ') letSpaceGo();
  });
  addEventListener('blur', letSpaceGo);
  node.addEventListener('blur', () => {
    if (!gesture) view.setShapes([]);
  });
  node.addEventListener('focus', cursor.show);

  /** Esc: what is under way is undone as if it had never begun. Whether there was something. */
  function cancel() {
    if (!gesture && !cursor.forget()) return false;
    gesture?.cancel();
    gesture = null;
    canvas.hold(false);
    cursor.show();
    return true;
  }

  let drawnOn = null;
  canvas.changed.on(() => {
    if (canvas.node === drawnOn) return;
    drawnOn = canvas.node;
    lastPoint = null;
    cursor.reset();
  });

  return {
    changed,
    change,
    choose,
    cancel,
    get brush() {
      return brush;
    },
  };
};
