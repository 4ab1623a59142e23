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

  function change(mask, { rect, runs }) {
    const { x, y, w, h } = rect;
    const bytes = unpacked(runs, w * h);
    for (let row = 0; row < h; row += 1) {
      const from = (y + row) * mask.width + x;
      for (let k = 0; k < w; k += 1) mask.data[from + k] ^= bytes[row * w + k];
    }
  }

  /**
   * The history of masks by key; `keep(n, step)` is told of step n as it is made, `moved()` of undo and redo, `list` of
   * a step that changed which masks there are. A step is { parts: [{ mask, rect, runs }], lists: { before, after } }.
   */
  return ({ maskOf, keep, moved, list }) => {
    let steps = [],
      at = 0;
    let open = null; // the step at hand: mask -> { before, rect }

    /** A step begins, or takes one more mask in. */
    function begin(key) {
      open ??= new Map();
      if (!open.has(key)) open.set(key, { before: maskOf(key).data.slice(), rect: null });
    }

    function touch(key, rect) {
      const part = open.get(key);
      part.rect = Easel.maskBits.joined(part.rect, rect);
    }

    /** The step is done; `lists`: which masks there were and are, where that has changed. */
    function end(lists = null) {
      const touched = [...(open ?? [])].filter(([, { rect }]) => rect);
      open = null;
      const parts = touched
        .map(([key, { before, rect }]) => ({ mask: key, rect, bytes: difference(before, maskOf(key), rect) }))
        .filter(({ bytes }) => bytes.some(Boolean))
        .map(({ mask, rect, bytes }) => ({ mask, rect, runs: packed(bytes) }));
      if (!parts.length && !lists) return;
      const step = { parts, lists };
      steps = [...steps.slice(0, at), step];
      at += 1;
      keep(at - 1, step);
    }

    /** As if the step at hand had never begun. Returns what must be drawn anew. */
    function cancel() {
      let all = null;
      for (const [key, { before, rect }] of open ?? []) {
        maskOf(key).data.set(before);
        all = Easel.maskBits.joined(all, rect);
      }
      open = null;
      return all;
    }

    function apply(step, which) {
      for (const part of step.parts) change(maskOf(part.mask), part);
      if (step.lists) list(step.lists[which]);
    }

    /** Returns the step that was undone, or null. */
    function undo() {
      if (!at || open) return null;
      at -= 1;
      apply(steps[at], 'before');
      moved();
      return steps[at];
    }

    function redo() {
      if (at >= steps.length || open) return null;
      at += 1;
      apply(steps[at - 1], 'after');
      moved();
      return steps[at - 1];
    }

    /** As it was kept: all steps, of which `count` are done; the list of masks is what it is. */
    function restore(kept, count) {
      steps = kept;
      at = Math.min(count, steps.length);
      for (const step of steps.slice(0, at)) for (const part of step.parts) change(maskOf(part.mask), part);
    }

    return {
      begin,
      touch,
      end,
      cancel,
      undo,
      redo,
      restore,
      /** A mask as it was when the step at hand began. */
      before: key => open?.get(key)?.before,
      get isOpen() {
        return Boolean(open);
      },
      get at() {
        return at;
      },
      /** The step that undo would undo. */
      get last() {
        return steps[at - 1] ?? null;
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
