// What is painted on: the pictures of a work, each with its masks and everything that was done to them, remembered by
// the browser; and the settings beside them. Knows nothing of how it looks, and asks the studio for pictures only.
Easel.canvas = (() => {
  const { ask, memory, signal, maskBits, maskStore } = Easel;
  const changed = signal(); // () settings, the picture, or what belongs to it
  const drawn = signal(); // (rect, or null for all of it): a mask has other numbers
  const MAIN = 'main'; // the mask whose words are those beside the picture
  const FIRST = Easel.canvasDefaults;
  let settings = { ...FIRST, ...memory.get('canvas') };
  const nodes = new Map(); // id -> node, of all works
  let node = null, // { id, work, parent, image, source, regions, at, results, made }
    masks = new Map(), // of the picture at hand: key -> mask
    history = null,
    active = MAIN,
    latest = new Map(), // key -> a region as it was last
    painted = new Map(), // mask -> whether anything is on it; only what is known
    version = 0, // of the masks
    isHeld = false, // a hand is at work on it
    saving = 0;

  // Settings

  function change(what) {
    settings = { ...settings, ...what };
    if (what.border && node) {
      node.border = what.border; // of this picture; another has other sides
      maskStore.put({ ...node });
    }
    clearTimeout(saving);
    saving = setTimeout(save, 150);
    changed.tell();
  }

  const save = () => memory.set('canvas', settings);
  addEventListener('pagehide', save);

  // Pictures

  const fresh = (source, { parent = null, image = null } = {}) => ({
    id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
    work: parent ? parent.work : `${Date.now()}`,
    parent: parent?.id ?? null,
    made: Date.now(),
    ...{ image, source, regions: [], at: 0, results: [] },
  });

  /** A picture that the studio keeps becomes the one that is painted on. */
  async function open(source, { parent = null, image = null } = {}) {
    const made = fresh(source, { parent, image });
    const old = node && node === parent ? { size: node.source, masks, regions: node.regions } : null;
    nodes.set(made.id, made);
    maskStore.put(made);
    forgetOldest();
    await select(made.id);
    if (old && old.size.width === source.width && old.size.height === source.height) carryOver(old);
  }

  /** The masks of the picture before are those of the next one: a first step, which can be undone. */
  function carryOver({ masks: before, regions }) {
    const lists = { before: [], after: regions.map(region => ({ ...region })) };
    node.regions = lists.after;
    for (const [key, mask] of before) {
      if (key !== MAIN && !regions.some(region => region.key === key)) continue;
      history.begin(key);
      maskOf(key).data.set(mask.data);
      history.touch(key, maskBits.all(mask));
    }
    history.end(regions.length ? lists : null);
    changed.tell();
    redraw(null);
  }

  function forgetOldest() {
    const old = [...nodes.values()].sort((a, b) => b.made - a.made).slice(maskStore.MOST);
    const gone = old.map(one => one.id).filter(id => id !== node?.id);
    gone.forEach(id => nodes.delete(id));
    if (gone.length) maskStore.remove(gone);
  }

  let turn = Promise.resolve();
  /** One after another: a second press must not find the first one's picture half open. */
  function select(id) {
    turn = turn.then(() => bringUp(id)).catch(console.warn);
    return turn;
  }

  async function bringUp(id) {
    let wanted = nodes.get(id);
    if (!wanted || wanted === node) return;
    const strokes = await maskStore.strokes(id);
    if (!(await maskStore.claim(id))) wanted = await copied(wanted, strokes);
    endStroke(); // one that began meanwhile
    show(wanted, maskStore);
    history.restore(strokes, node.at);
    memory.set('canvas.node', node.id);
    sessionStorage.setItem('easel.canvas.node', node.id);
    changed.tell();
    redraw(null);
  }

  /** The same picture with the same strokes, on its own from here on. */
  async function copied(one, strokes) {
    const made = { ...one, ...fresh(one.source, { image: one.image }), work: one.work, parent: one.parent };
    Object.assign(made, { regions: one.regions.map(region => ({ ...region })), at: one.at, results: [...one.results] });
    nodes.set(made.id, made);
    await maskStore.addAll(made, strokes);
    await maskStore.claim(made.id);
    return made;
  }

  /** Nothing of `wanted` has been painted yet; what will be is kept in `store`. */
  function show(wanted, store) {
    node = wanted;
    latest.clear();
    settings = { ...settings, border: wanted.border ?? FIRST.border };
    masks = new Map();
    active = MAIN;
    painted.clear();
    history = Easel.maskHistory({
      maskOf,
      keep: (n, step) => {
        wanted.at = n + 1;
        store.add({ ...wanted }, n, step);
      },
      moved: () => {
        wanted.at = history.at;
        store.put({ ...wanted });
      },
      // Which masks there are; what they say is what was last typed.
      list: regions => {
        wanted.regions = regions.map(region => latest.get(region.key) ?? region);
      },
    });
  }

  let real = null; // what was open before something was pretended

  /** Shows a picture that is not there, for designers and tests; null: none at all; nothing: as it really is. */
  async function pretend(source) {
    if (source !== undefined) {
      real ??= node?.id ?? '';
      node = null;
      if (source) show(fresh(source), { add() {}, put() {} });
    } else if (real !== null) {
      const back = real;
      node = real = null;
      if (back) await select(back);
    }
    changed.tell();
    if (node) redraw(null);
  }

  function keepNode() {
    maskStore.put({ ...node });
    changed.tell();
  }

  /** What was open when the page was left. */
  async function begin() {
    for (const known of await maskStore.nodes()) nodes.set(known.id, known);
    const last = sessionStorage.getItem('easel.canvas.node') ?? memory.get('canvas.node');
    if (!node && nodes.has(last)) {
      try {
        await ask(`api/sources/${nodes.get(last).source.id}/facts`);
        await select(last);
      } catch (error) {
        console.warn('The picture that was painted on is gone', error);
      }
    }
    changed.tell();
  }

  /** Bytes of a picture file to the studio, which checks and keeps them. Throws { problem, fix }. */
  const bring = blob => ask('api/sources', { method: 'POST', body: blob });

  const openFile = async file => open(await bring(file));

  /** A picture that the studio has painted, with what it was painted by. Throws { problem, fix }. */
  async function openImage(picture, { next = false } = {}) {
    const parent = next ? node : null;
    const source = await ask(`api/sources/of/${picture.id}`, { method: 'POST' });
    if (!next) takeWords(picture);
    await open(source, { parent, image: picture.id });
  }

  const WORDS = ['prompt', 'negative_prompt', 'sampler', 'schedule', 'steps', 'cfg', 'clip_skip', 'loras'];

  function takeWords({ request, known, seed }) {
    if (!known) return;
    const told = WORDS.filter(name => request[name] !== undefined).map(name => [name, request[name]]);
    change({ ...Object.fromEntries(told), seed });
  }

  // Masks

  function maskOf(key) {
    if (!masks.has(key)) masks.set(key, maskBits.create(node.source.width, node.source.height));
    return masks.get(key);
  }

  /** `rect` of the masks (null: all of them) has other numbers. */
  function redraw(rect) {
    painted.clear();
    version += 1;
    drawn.tell(rect);
  }

  /** Does `act(mask)`, which returns the rectangle it touched, to the mask at hand, as one step. */
  function edit(act) {
    if (!node) return;
    endStroke(); // a stroke under way is done: the step is another one
    beginStroke();
    stroke(act);
    endStroke();
  }

  const beginStroke = () => history.begin(active);

  /** `act(mask, before)`: as it was when the stroke began. What comes after the stroke's end is not painted. */
  function stroke(act) {
    if (!history?.isOpen) return;
    const rect = act(maskOf(active), history.before(active));
    if (!rect) return;
    history.touch(active, rect);
    redraw(rect);
  }

  function endStroke() {
    if (!history?.isOpen) return;
    history.end();
    if (settings.scope === 'all') change({ scope: 'painted' });
    changed.tell();
  }

  function cancelStroke() {
    const rect = history?.cancel();
    if (rect) redraw(rect);
    changed.tell();
  }

  /** The mask that changes is the one at hand then. */
  function step(how) {
    const before = node?.regions ?? [];
    const done = history?.[how]();
    if (!done) return;
    const back = node.regions.find(region => !before.some(one => one.key === region.key));
    const touched = back?.key ?? done.parts[0]?.mask ?? active;
    active = layers().some(({ key }) => key === touched) ? touched : MAIN;
    redraw(done.lists || done.parts.length !== 1 ? null : done.parts[0].rect);
    changed.tell();
  }

  /** A mask file instead of the mask at hand, or added to it. Throws { problem, fix, canStretch }. */
  async function loadMask(file, { stretch = false, adds = false } = {}) {
    const [mine, key] = [node, active];
    const levels = await Easel.readMask(file, mine.source, stretch);
    while (isHeld) await new Promise(resolve => setTimeout(resolve, 50)); // a stroke is drawn to its end
    if (node !== mine) return; // another picture is open by now
    if (layers().some(one => one.key === key)) active = key;
    edit(mask => {
      for (let k = 0; k < levels.length; k += 1) mask.data[k] = adds ? Math.max(mask.data[k], levels[k]) : levels[k];
      return maskBits.all(mask);
    });
  }

  // Places with words of their own

  function addRegion() {
    const key = `region-${Date.now()}`;
    list([...node.regions, { key, prompt: '', negative_prompt: '', strength: 1 }]);
    activate(key);
  }

  /** Other masks than before: a step that can be undone. */
  function list(regions) {
    endStroke();
    const lists = { before: node.regions, after: regions };
    node.regions = regions;
    history.end(lists);
  }

  function changeRegion(key, what) {
    node.regions = node.regions.map(region => (region.key === key ? { ...region, ...what } : region));
    latest.set(key, node.regions.find(region => region.key === key));
    keepNode();
  }

  function removeRegion(key) {
    list(node.regions.filter(region => region.key !== key));
    activate(active === key ? MAIN : active);
  }

  /** The last thing that was done took a mask out: undo brings it back. */
  function hasJustRemoved() {
    const { before = [], after = [] } = history?.last?.lists ?? {};
    return after.length < before.length;
  }

  function activate(key) {
    endStroke();
    active = key;
    redraw(null);
    changed.tell();
  }

  /** All masks that count, with their words: of the settings first. */
  const layers = () => [{ key: MAIN }, ...(node?.regions ?? [])];

  // What belongs together

  const isMasked = () => settings.scope !== 'all';
  const hasBorder = () => Object.values(settings.border).some(Boolean);

  function isPainted(key) {
    if (!painted.has(key)) painted.set(key, !maskBits.isEmpty(maskOf(key)));
    return painted.get(key);
  }

  /** Pictures of this work, in the order in which they were begun. */
  const family = () =>
    [...nodes.values()].filter(one => one.work === node?.work).sort((a, b) => a.made - b.made);

  /** Of every other work the picture that was begun last, the latest work first. */
  function otherWorks() {
    const latest = new Map();
    for (const one of [...nodes.values()].sort((a, b) => a.made - b.made)) latest.set(one.work, one);
    return [...latest.values()].filter(one => one.work !== node?.work).reverse();
  }

  function addResults(id, images) {
    const owner = nodes.get(id);
    if (!owner) return;
    const isNew = images.filter(image => !owner.results.includes(image));
    if (!isNew.length) return;
    owner.results = [...owner.results, ...isNew];
    maskStore.put({ ...owner });
    changed.tell();
  }

  return {
    MAIN,
    WORDS,
    changed,
    drawn,
    change,
    begin,
    open,
    openFile,
    openImage,
    select,
    edit,
    beginStroke,
    stroke,
    endStroke,
    cancelStroke,
    undo: () => step('undo'),
    redo: () => step('redo'),
    loadMask,
    addRegion,
    changeRegion,
    removeRegion,
    hasJustRemoved,
    activate,
    layers,
    maskOf,
    isPainted,
    isMasked,
    hasBorder,
    family,
    otherWorks,
    addResults,
    pretend,
    bring,
    get settings() {
      return settings;
    },
    get node() {
      return node;
    },
    get active() {
      return active;
    },
    get version() {
      return version;
    },
    get canUndo() {
      return Boolean(history?.canUndo);
    },
    get canRedo() {
      return Boolean(history?.canRedo);
    },
    /** A hand is at work: what would take the picture away waits. */
    get isHeld() {
      return isHeld;
    },
    hold(now) {
      isHeld = now;
    },
  };
})();
