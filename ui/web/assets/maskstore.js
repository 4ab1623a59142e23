// What the browser keeps of painting, beyond a reload: the pictures that were worked on with every stroke (IndexedDB).
// Where the browser forbids it, painting works and is forgotten.
Easel.maskStore = (() => {
  const MOST = 200; // pictures with their strokes; the oldest go first
  const LAST = [Infinity];

  const opened = new Promise(resolve => {
    let asked;
    try {
      asked = indexedDB.open('easel', 1);
    } catch (error) {
      console.warn(error);
      resolve(null);
      return;
    }
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore('nodes', { keyPath: 'id' });
      asked.result.createObjectStore('strokes', { keyPath: ['node', 'n'] });
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => {
      console.warn(asked.error);
      resolve(null);
    };
  });

  const answer = request =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });

  /** Does `act` with the stores in one go: all of it is kept, or nothing. */
  async function within(mode, act) {
    const base = await opened;
    if (!base) return null;
    const turn = base.transaction(['nodes', 'strokes'], mode, { durability: 'relaxed' });
    try {
      return await act(turn.objectStore('nodes'), turn.objectStore('strokes'));
    } catch (error) {
      console.warn('The browser could not keep the painting', error); // a full disk costs the memory, not the work
      return null;
    }
  }

  let held = null; // { id, giveBack, given }: the picture that no other window of this browser may have

  /** Whether no other window paints on it: two would write into each other's strokes. */
  async function claim(id) {
    if (held?.id === id || !navigator.locks) return true; // they are there over https, or on this machine
    held?.giveBack();
    await held?.given;
    held = null;
    return new Promise(resolve => {
      let giveBack = null;
      const kept = new Promise(done => {
        giveBack = done;
      });
      const given = navigator.locks.request(`easel.canvas.${id}`, { ifAvailable: true }, lock => {
        if (lock) held = { id, giveBack, given };
        resolve(Boolean(lock));
        return lock ? kept : null;
      });
    });
  }

  const strokesOf = (node, from = 0) => IDBKeyRange.bound([node, from], [node, LAST]);

  return {
    claim,
    /** All pictures that are known, without their strokes. */
    nodes: async () => (await within('readonly', nodes => answer(nodes.getAll()))) ?? [],
    strokes: async node =>
      (await within('readonly', (_, strokes) => answer(strokes.getAll(strokesOf(node))))) ?? [],
    put: node => within('readwrite', nodes => answer(nodes.put(node))),
    /** Stroke `n` of a picture, which takes the place of all that were undone. */
    add: (node, n, stroke) =>
      within('readwrite', async (nodes, strokes) => {
        strokes.delete(strokesOf(node.id, n));
        strokes.put({ ...stroke, node: node.id, n });
        await answer(nodes.put(node));
      }),
    /** A picture with the strokes of another. */
    addAll: (node, all) =>
      within('readwrite', async (nodes, strokes) => {
        for (const stroke of all) strokes.put({ ...stroke, node: node.id });
        await answer(nodes.put(node));
      }),
    remove: ids =>
      within('readwrite', async (nodes, strokes) => {
        for (const id of ids) {
          nodes.delete(id);
          strokes.delete(strokesOf(id));
        }
      }),
    MOST,
  };
})();
