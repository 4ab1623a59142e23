// The masks of one picture, and everything that was done to them: undone and done again without limit. A step is kept
// as what it changed (before XOR after), packed by runs: the same numbers lead back and forth.
Easel.maskHistory = (() => {
  /** Runs as (value, length) with lengths of 7 bits a byte, the lowest first. */
  function packed(bytes) {
    const out = new Uint8Array(bytes.length * 2 + 8);
    let n = 0;
    for (let k = 0; k < bytes.length; ) {
      const value = bytes[k];
      let end = k + 1;
      while (end < bytes.length && bytes[end] === value) end += 1;
      out[n++] = value;
      for (let rest = end - k; rest; rest = Math.floor(rest / 128)) out[n++] = (rest % 128) + (rest > 127 ? 128 : 0);
      k = end;
    }
    return out.slice(0, n);
  }

  function unpacked(runs, length) {
    const out = new Uint8Array(length);
    for (let k = 0, at = 0; k < runs.length; ) {
      const value = runs[k++];
      let run = 0;
      for (let unit = 1; ; unit *= 128) {
        const byte = runs[k++];
        run += (byte & 127) * unit;
        if (byte < 128) break;
      }
      if (value) out.fill(value, at, at + run);
      at += run;
    }
    return out;
  }

  function difference(before, mask, { x, y, w, h }) {
    const out = new Uint8Array(w * h);
    for (let row = 0; row < h; row += 1) {
      const from = (y + row) * mask.width + x;
      for (let k = 0; k < w; k += 1) out[row * w + k] = before[from + k] ^ mask.data[from + k];
    }
    return out;
  }

  function apply(mask, { rect, runs }) {
    const { x, y, w, h } = rect;
    const bytes = unpacked(runs, w * h);
    for (let row = 0; row < h; row += 1) {
      const from = (y + row) * mask.width + x;
      for (let k = 0; k < w; k += 1) mask.data[from + k] ^= bytes[row * w + k];
    }
    return rect;
  }

  /**
   * The history of masks by key; `keep(n, step)` is told of step n as it is made, `moved()` of undo and redo.
   * A step is { mask, rect, runs }.
   */
  return ({ maskOf, keep, moved }) => {
    let steps = [],
      at = 0;
    let open = null; // { key, before, rect }: the step at hand

    const begin = key => {
      open = { key, before: maskOf(key).data.slice(), rect: null };
    };
    const touch = rect => {
      open.rect = Easel.maskBits.joined(open.rect, rect);
    };

    /** Whether something has changed. */
    function end() {
      const { key, before, rect } = open;
      open = null;
      if (!rect) return false;
      const bytes = difference(before, maskOf(key), rect);
      if (!bytes.some(Boolean)) return false;
      const step = { mask: key, rect, runs: packed(bytes) };
      steps = [...steps.slice(0, at), step];
      at += 1;
      keep(at - 1, step);
      return true;
    }

    /** As if the step at hand had never begun. Returns what must be drawn anew. */
    function cancel() {
      if (!open) return null;
      const { key, before, rect } = open;
      maskOf(key).data.set(before);
      open = null;
      return rect;
    }

    function undo() {
      if (!at || open) return null;
      at -= 1;
      moved();
      return apply(maskOf(steps[at].mask), steps[at]);
    }

    function redo() {
      if (at >= steps.length || open) return null;
      at += 1;
      moved();
      return apply(maskOf(steps[at - 1].mask), steps[at - 1]);
    }

    /** As it was kept: all steps, of which `count` are done. */
    function restore(kept, count) {
      steps = kept;
      at = Math.min(count, steps.length);
      for (const step of steps.slice(0, at)) apply(maskOf(step.mask), step);
    }

    return {
      begin,
      touch,
      end,
      cancel,
      undo,
      redo,
      restore,
      get isOpen() {
        return Boolean(open);
      },
      get at() {
        return at;
      },
      get canUndo() {
        return at > 0;
      },
      get canRedo() {
        return at < steps.length;
      },
    };
  };
})();
