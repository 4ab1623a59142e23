// The canvas by keyboard: a cursor that goes over the picture in steps of the brush, and paints where it is told to.
// `current()`: tool and brush; `how(event)`: hardness, strength, whether it erases; `shapes`: lines over the picture.
Easel.canvasCursor = (view, { how, current, shapes }) => {
  const { make, say, canvas, maskBits } = Easel;
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let cursor = null, // in the picture's pixels
    corners = []; // set so far, of a rectangle or a lasso
  const { node } = view;
  const spoken = make('p', { class: 'spoken', role: 'status' });
  node.append(spoken);

  const middle = () => ({ x: canvas.node.source.width / 2, y: canvas.node.source.height / 2 });

  /** By an arrow: a step of the brush, with Ctrl a pixel; with Shift the brush goes along. */
  function move(event) {
    const [dx, dy] = ARROWS[event.key];
    const { width, height } = canvas.node.source;
    const step = event.ctrlKey ? 1 : Math.max(1, Math.round(current().size));
    const old = cursor ?? middle();
    cursor = cursor
      ? { x: Math.min(width, Math.max(0, old.x + dx * step)), y: Math.min(height, Math.max(0, old.y + dy * step)) }
      : old;
    const isBrush = ['brush', 'eraser'].includes(current().tool);
    if (event.shiftKey && isBrush) dabs(dab(old), dab(cursor));
    comeIntoView();
    show();
    speak();
  }

  const dab = point => ({ ...point, radius: current().size });
  const dabs = (from, to) =>
    canvas.edit((mask, before) => maskBits.stroke(mask, before, from, to, how(null)));

  /** The picture moves when the cursor would leave the window. */
  function comeIntoView() {
    const EDGE = 80;
    const [x, y] = shapes.screen(view.at, cursor);
    const shift = (place, most) => Math.max(0, EDGE - place) - Math.max(0, place - (most - EDGE));
    const [right, down] = [shift(x, node.clientWidth), shift(y, node.clientHeight)];
    if (right || down) view.set(view.at.z, view.at.x + right, view.at.y + down);
  }

  /** Zooms on the cursor, where there is one. */
  const zoom = factor => (cursor ? view.zoom(factor, ...shapes.screen(view.at, cursor)) : view.zoom(factor));

  function speak() {
    const { width, height } = canvas.node.source;
    const x = Math.min(width - 1, Math.floor(cursor.x)),
      y = Math.min(height - 1, Math.floor(cursor.y));
    const value = canvas.maskOf(canvas.active).data[y * width + x];
    spoken.textContent = say('canvas.at', { x, y, share: Math.round((value / 255) * 100) });
  }

  /** Enter: a dab, a corner, a point, or a fill. */
  function press(isLast) {
    cursor ??= middle();
    const manner = how(null);
    const { tool } = current();
    if (tool === 'fill') canvas.edit(mask => maskBits.fill(mask, cursor, manner));
    else if (tool === 'rectangle' || tool === 'lasso') {
      corners.push(cursor);
      if (tool === 'rectangle' && corners.length === 2) {
        const [from, to] = corners;
        canvas.edit(mask => maskBits.rectangle(mask, from, to, manner));
        corners = [];
      } else if (tool === 'lasso' && isLast && corners.length > 2) {
        const points = corners;
        canvas.edit(mask => maskBits.lasso(mask, points, manner));
        corners = [];
      }
    } else if (tool !== 'hand') dabs(dab(cursor), dab(cursor));
    show();
    speak();
  }

  function show() {
    if (!cursor || !canvas.node || document.activeElement !== node) return;
    const isBrush = ['brush', 'eraser'].includes(current().tool);
    const cross = at => {
      const [x, y] = shapes.screen(at, cursor);
      return shapes.outline('path', { d: `M${x - 12} ${y}h24M${x} ${y - 12}v24` });
    };
    const round = at => {
      const [cx, cy] = shapes.screen(at, cursor);
      return shapes.outline('circle', { cx, cy, r: current().size * at.z });
    };
    const pending = corners.length
      ? [current().tool === 'rectangle' ? shapes.rectangle(corners[0], cursor) : shapes.line([...corners, cursor])]
      : [];
    view.setShapes([cross, ...(isBrush ? [round] : []), ...pending]);
  }

  /** The corners that were set are given up. Whether there were any. */
  function forget() {
    const had = corners.length > 0;
    corners = [];
    return had;
  }

  /** Another picture. */
  function reset() {
    cursor = null;
    corners = [];
    view.setShapes([]);
  }

  return { move, press, zoom, show, forget, reset };
};
