// What can be done to a mask { width, height, data: Uint8Array }: 0 stays as it is, 255 is painted over. Each act
// changes the numbers in place and returns the rectangle { x, y, w, h } that it may have touched, or null. Pixels are
// told by their corner: the middle of the first one is (0.5, 0.5).
Easel.maskBits = (() => {
  const create = (width, height) => ({ width, height, data: new Uint8Array(width * height) });

  /** Whole pixels inside the mask, of a box that may lie anywhere. */
  function within(mask, left, top, right, bottom) {
    const x = Math.max(0, Math.floor(left)),
      y = Math.max(0, Math.floor(top));
    const w = Math.min(mask.width, Math.ceil(right)) - x,
      h = Math.min(mask.height, Math.ceil(bottom)) - y;
    return w > 0 && h > 0 ? { x, y, w, h } : null;
  }

  const all = mask => ({ x: 0, y: 0, w: mask.width, h: mask.height });

  function joined(one, other) {
    if (!one || !other) return one ?? other;
    const x = Math.min(one.x, other.x),
      y = Math.min(one.y, other.y);
    const right = Math.max(one.x + one.w, other.x + other.w),
      bottom = Math.max(one.y + one.h, other.y + other.h);
    return { x, y, w: right - x, h: bottom - y };
  }

  /**
   * A stroke of the brush from one point to the next, { x, y, radius } each. Full inside the hard part of the radius,
   * fading smoothly to its end (over one pixel at hardness 1). Painting takes the greater number; erasing takes its
   * share of what was there `before` the stroke. So a stroke never adds up with itself, however slowly it is drawn.
   */
  function stroke(mask, before, from, to, { hardness, strength, erases }) {
    const most = Math.max(from.radius, to.radius) + 1;
    const box = within(
      mask,
      Math.min(from.x, to.x) - most,
      Math.min(from.y, to.y) - most,
      Math.max(from.x, to.x) + most,
      Math.max(from.y, to.y) + most,
    );
    if (!box) return null;
    const dx = to.x - from.x,
      dy = to.y - from.y,
      length = dx * dx + dy * dy,
      level = 255 * strength;
    const { data, width } = mask;
    for (let y = box.y; y < box.y + box.h; y += 1) {
      const py = y + 0.5 - from.y;
      for (let x = box.x; x < box.x + box.w; x += 1) {
        const px = x + 0.5 - from.x;
        const t = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
        const reach = from.radius + t * (to.radius - from.radius) + 0.5;
        const sideways = px - t * dx,
          upright = py - t * dy;
        const square = sideways * sideways + upright * upright;
        if (square >= reach * reach) continue;
        const fade = Math.max(1, (reach - 0.5) * (1 - hardness));
        const a = Math.min(1, (reach - Math.sqrt(square)) / fade);
        const value = Math.round(level * (fade > 1 ? a * a * (3 - 2 * a) : a));
        const at = y * width + x;
        if (erases) {
          const rest = Math.round((before[at] * (255 - value)) / 255);
          if (data[at] > rest) data[at] = rest;
        } else if (data[at] < value) data[at] = value;
      }
    }
    return box;
  }

  /** Lays `level` on the pixels of a box where `covers(x, y)` is 0 to 1. */
  function lay(mask, box, covers, { strength, erases }) {
    if (!box) return null;
    for (let y = box.y; y < box.y + box.h; y += 1) {
      for (let x = box.x; x < box.x + box.w; x += 1) {
        const value = Math.round(255 * strength * covers(x, y));
        const at = y * mask.width + x;
        const old = mask.data[at];
        mask.data[at] = erases ? Math.round((old * (255 - value)) / 255) : Math.max(old, value);
      }
    }
    return box;
  }

  /** All pixels whose middle lies between two corners. */
  function rectangle(mask, from, to, how) {
    const [left, right] = [from.x, to.x].map(Math.round).sort((a, b) => a - b);
    const [top, bottom] = [from.y, to.y].map(Math.round).sort((a, b) => a - b);
    return lay(mask, within(mask, left, top, right, bottom), () => 1, how);
  }

  /** The inside of a closed line, its edge smooth. */
  function lasso(mask, points, how) {
    const xs = points.map(point => point.x),
      ys = points.map(point => point.y);
    const box = within(mask, Math.min(...xs) - 1, Math.min(...ys) - 1, Math.max(...xs) + 1, Math.max(...ys) + 1);
    if (!box || points.length < 3) return null;
    const context = new OffscreenCanvas(box.w, box.h).getContext('2d', { willReadFrequently: true });
    context.translate(-box.x, -box.y);
    context.beginPath();
    for (const { x, y } of points) context.lineTo(x, y);
    context.fill();
    const inside = context.getImageData(0, 0, box.w, box.h).data;
    return lay(mask, box, (x, y) => inside[4 * ((y - box.y) * box.w + x - box.x) + 3] / 255, how);
  }

  /** What hangs together with the point and is not painted yet (or, to erase, what is painted). */
  function fill(mask, point, { strength, erases }) {
    const { data, width, height } = mask;
    const first = { x: Math.floor(point.x), y: Math.floor(point.y) };
    const level = Math.round(255 * strength);
    const isOpen = at => (erases ? data[at] > 0 : data[at] < 0.9 * level);
    if (first.x < 0 || first.y < 0 || first.x >= width || first.y >= height) return null;
    const start = first.y * width + first.x;
    if (!isOpen(start)) return null;
    const value = erases ? 0 : level;
    const waiting = [start];
    let [left, right, top, bottom] = [first.x, first.x, first.y, first.y];
    while (waiting.length) {
      const at = waiting.pop();
      if (!isOpen(at)) continue;
      const row = Math.floor(at / width) * width;
      let low = at,
        high = at;
      while (low > row && isOpen(low - 1)) low -= 1;
      while (high < row + width - 1 && isOpen(high + 1)) high += 1;
      data.fill(value, low, high + 1);
      left = Math.min(left, low - row);
      right = Math.max(right, high - row);
      const y = row / width;
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
      for (const step of [-width, width]) {
        if (row + step < 0 || row + step >= width * height) continue;
        for (let k = low + step; k <= high + step; k += 1)
          if (isOpen(k) && (k === low + step || !isOpen(k - 1))) waiting.push(k);
      }
    }
    return { x: left, y: top, w: right - left + 1, h: bottom - top + 1 };
  }

  function invert(mask) {
    const { data } = mask;
    for (let k = 0; k < data.length; k += 1) data[k] = 255 - data[k];
    return all(mask);
  }

  function clear(mask) {
    mask.data.fill(0);
    return all(mask);
  }

  /** The rectangle that holds everything painted; null when nothing is. */
  function bounds({ data, width, height }) {
    let top = 0,
      bottom = height - 1;
    const isEmpty = y => {
      for (let k = y * width; k < (y + 1) * width; k += 1) if (data[k]) return false;
      return true;
    };
    while (top < height && isEmpty(top)) top += 1;
    if (top === height) return null;
    while (isEmpty(bottom)) bottom -= 1;
    let left = width - 1,
      right = 0;
    for (let y = top; y <= bottom; y += 1) {
      for (let x = 0; x < left; x += 1) if (data[y * width + x]) left = x;
      for (let x = width - 1; x > right; x -= 1) if (data[y * width + x]) right = x;
    }
    return { x: left, y: top, w: Math.max(right, left) - left + 1, h: bottom - top + 1 };
  }

  /** Works on the painted part and `margin` pixels around it, as a mask of its own. */
  function onPart(mask, margin, act) {
    const found = bounds(mask);
    if (!found) return null;
    const box = within(
      mask,
      found.x - margin,
      found.y - margin,
      found.x + found.w + margin,
      found.y + found.h + margin,
    );
    const part = create(box.w, box.h);
    for (let y = 0; y < box.h; y += 1) {
      const from = (box.y + y) * mask.width + box.x;
      part.data.set(mask.data.subarray(from, from + box.w), y * box.w);
    }
    const done = act(part).data;
    for (let y = 0; y < box.h; y += 1) {
      mask.data.set(done.subarray(y * box.w, (y + 1) * box.w), (box.y + y) * mask.width + box.x);
    }
    return box;
  }

  /**
   * Grows by so many pixels, or shrinks (below 0): the greatest number under an eight-cornered brush, which is a square
   * and two slanted lines one after the other. Its cost does not depend on its size.
   */
  function grow(mask, pixels) {
    const reach = Math.abs(pixels);
    const slanted = Math.round(reach * (1 - Math.SQRT1_2)),
      straight = reach - 2 * slanted;
    return onPart(mask, Math.max(1, pixels), part => {
      if (pixels < 0) invert(part);
      const { width, height, data } = part;
      for (let y = 0; y < height; y += 1) greatest(data, y * width, 1, width, straight);
      for (let x = 0; x < width; x += 1) greatest(data, x, width, height, straight);
      for (const side of [1, -1]) slant(part, side, slanted);
      if (pixels < 0) invert(part);
      return part;
    });
  }

  /** Every line that runs down to the right (side 1) or to the left (-1). */
  function slant({ width, height, data }, side, reach) {
    if (!reach) return;
    const edge = side > 0 ? 0 : width - 1;
    for (let x = 0; x < width; x += 1) {
      const length = Math.min(height, side > 0 ? width - x : x + 1);
      greatest(data, x, width + side, length, reach);
    }
    for (let y = 1; y < height; y += 1) {
      greatest(data, y * width + edge, width + side, Math.min(height - y, width), reach);
    }
  }

  let ahead = new Uint8Array(0),
    behind = new Uint8Array(0);
  /**
   * Along a line each number becomes the greatest within `reach` to either side. In blocks of the window's length the
   * greatest so far is known from both ends, and any window spans two of them (van Herk 1992).
   */
  function greatest(data, from, step, length, reach) {
    if (reach < 1) return;
    const wide = 2 * reach + 1;
    const padded = Math.ceil((length + 2 * reach) / wide) * wide;
    if (ahead.length < padded) [ahead, behind] = [new Uint8Array(padded), new Uint8Array(padded)];
    const at = k => (k >= reach && k < length + reach ? data[from + (k - reach) * step] : 0);
    for (let k = 0; k < padded; k += 1) {
      const value = at(k);
      ahead[k] = k % wide && ahead[k - 1] > value ? ahead[k - 1] : value;
    }
    for (let k = padded - 1; k >= 0; k -= 1) {
      const value = at(k);
      behind[k] = (k + 1) % wide && behind[k + 1] > value ? behind[k + 1] : value;
    }
    for (let k = 0; k < length; k += 1) {
      const right = ahead[k + 2 * reach];
      data[from + k * step] = behind[k] > right ? behind[k] : right;
    }
  }

  /** Softens the edge over about so many pixels to either side: three running means, nearly a bell. */
  function feather(mask, pixels) {
    const radius = Math.max(1, Math.round(pixels / 2));
    return onPart(mask, 3 * radius, part => {
      const { width, height, data } = part;
      let numbers = Float32Array.from(data);
      for (let k = 0; k < 3; k += 1) numbers = meaned(meaned(numbers, width, height, radius), height, width, radius);
      for (let k = 0; k < data.length; k += 1) data[k] = Math.round(numbers[k]);
      return part;
    });
  }

  /** Means over 2 radius + 1 numbers of each row; rows and columns change places, so that twice is all of it. */
  function meaned(numbers, width, height, radius) {
    const out = new Float32Array(numbers.length);
    const share = 1 / (2 * radius + 1);
    for (let y = 0; y < height; y += 1) {
      const row = y * width,
        last = row + width - 1;
      let sum = numbers[row] * (radius + 1);
      for (let k = 1; k <= radius; k += 1) sum += numbers[Math.min(last, row + k)];
      for (let x = 0; x < width; x += 1) {
        out[x * height + y] = sum * share;
        sum += numbers[Math.min(last, row + x + radius + 1)] - numbers[Math.max(row, row + x - radius)];
      }
    }
    return out;
  }

  const isEmpty = mask => !bounds(mask);

  return { create, joined, all, stroke, rectangle, lasso, fill, invert, clear, grow, feather, bounds, isEmpty };
})();
