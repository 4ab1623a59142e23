// Pictures by their address, ready to be drawn: read when they are first asked for, the ones used last are held.
Easel.bitmaps = (onReady, most = 24) => {
  const held = new Map(); // address -> bitmap; null on its way, false if there is none

  /** null until it is there. */
  function get(address) {
    if (!address) return null;
    if (held.has(address)) {
      const found = held.get(address);
      held.delete(address);
      held.set(address, found); // the youngest now
      return found || null;
    }
    held.set(address, null);
    for (const [old, bitmap] of [...held].slice(0, -most)) {
      bitmap?.close?.();
      held.delete(old);
    }
    load(address).catch(error => {
      console.warn(error);
      if (held.has(address)) held.set(address, false);
      setTimeout(() => held.get(address) === false && held.delete(address), 4000); // then it is asked for again
    });
    return null;
  }

  async function load(address) {
    const answer = await fetch(new URL(address, document.baseURI));
    if (!answer.ok) throw new Error(`${answer.status} ${address}`);
    const file = await answer.blob();
    const bitmap = file.type.startsWith('image/svg') ? await drawn(address) : await createImageBitmap(file);
    if (!held.has(address)) return bitmap.close();
    held.set(address, bitmap);
    onReady(address);
  }

  /** Drawings without pixels of their own, of which samples are made. */
  async function drawn(address) {
    const shown = new Image();
    shown.src = address;
    await shown.decode();
    const sheet = new OffscreenCanvas(1024, 1024);
    sheet.getContext('2d').drawImage(shown, 0, 0, 1024, 1024);
    return sheet.transferToImageBitmap();
  }

  return { get };
};
