// What is painted on: the pictures of a work, each with its masks and everything that was done to them, remembered by
// the browser; and the settings beside them. Knows nothing of how it looks, and asks the studio for pictures only.
Easel.canvas = (() => {
  const { ask, memory, signal, maskBits, maskStore } = Easel;
  const changed = signal(); // () settings, the picture, or what belongs to it
  const drawn = signal(); // (rect, or null for all of it): a mask has other numbers
  const MAIN = 'main'; // the mask whose words are those beside the picture
  const FIRST = {
    prompt: '',
    negative_prompt: '',
    sampler: 'dpmpp_2m',
    schedule: 'automatic',
    steps: 20,
    cfg: 5,
    seed: 0,
    fresh_seed: true,
    count: 1,
    clip_skip: 1,
    loras: [],
    scope: 'painted', // painted | else | all
    content: 'original',
    strength: 0.75,
    soft_edge: 8,
    area: 'masked',
    padding: 32,
    side: 0, // what the network works at; 0: the model's own
    match_colour: true,
    fit: 'stretch',
    border: { left: 0, top: 0, right: 0, bottom: 0 },
  };
  const NONE = FIRST.border;
  let settings = { ...FIRST, ...memory.get('canvas') };
  const nodes = new Map(); // id -> node, of all works
  let node = null, // { id, work, parent, image, source, regions, at, results, made }
    masks = new Map(), // of the picture at hand: key -> mask
    history = null,
    active = MAIN,
    removed = null, // a region that was just taken out
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
    image,
    source,
    regions: [],
    at: 0,
    results: [],
    made: Date.now(),
  });

  /** A picture that the studio keeps becomes the one that is painted on. */
  async function open(source, { parent = null, image = null } = {}) {
    const made = fresh(source, { parent, image });
    const old = node && parent ? { size: node.source, masks, regions: node.regions } : null;
    nodes.set(made.id, made);
    maskStore.put(made);
    forgetOldest();
    await select(made.id);
    if (old && old.size.width === source.width && old.size.height === source.height) carryOver(old);
  }

  /** The masks of the picture before are those of the next one: a first step, which can be undone. */
  function carryOver({ masks: before, regions }) {
    node.regions = regions.map(region => ({ ...region }));
    for (const [key, mask] of before) {
      if (key !== MAIN && !node.regions.some(region => region.key === key)) continue;
      history.begin(key);
      maskOf(key).data.set(mask.data);
      history.touch(maskBits.all(mask));
      history.end();
    }
    changed.tell();
    drawn.tell(null);
  }

  function forgetOldest() {
    const old = [...nodes.values()].sort((a, b) => b.made - a.made).slice(maskStore.MOST);
    const gone = old.map(one => one.id).filter(id => id !== node?.id);
    for (const id of gone) nodes.delete(id);
    if (gone.length) maskStore.remove(gone);
  }

  async function select(id) {
    let wanted = nodes.get(id);
    if (!wanted || wanted === node) return;
    history?.cancel();
    const strokes = await maskStore.strokes(id);
    if (!(await maskStore.claim(id))) wanted = await copied(wanted, strokes);
    show(wanted, maskStore);
    history.restore(strokes, node.at);
    memory.set('canvas.node', node.id);
    sessionStorage.setItem('easel.canvas.node', node.id);
    changed.tell();
    drawn.tell(null);
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
    settings.border = wanted.border ?? NONE;
    masks = new Map();
    active = MAIN;
    removed = null;
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
    });
  }

  let real = null; // what was open before something was pretended

  /** Shows a picture that is not there, for designers and tests; null: none at all; nothing: as it really is. */
  async function pretend(source) {
    if (source !== undefined) {
      real ??= node?.id ?? '';
      if (source) show(fresh(source), { add() {}, put() {} });
      else node = null;
    } else if (real !== null) {
      const back = real;
      node = real = null;
      if (back) await select(back);
    }
    changed.tell();
    if (node) drawn.tell(null);
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

  /** Does `act(mask)`, which returns the rectangle it touched, to the mask at hand, as one step. */
  function edit(act) {
    if (!node) return;
    beginStroke();
    stroke(act);
    endStroke();
  }

  const beginStroke = () => history.begin(active);

  function stroke(act) {
    const rect = act(maskOf(active));
    if (!rect) return;
    history.touch(rect);
    drawn.tell(rect);
  }

  function endStroke() {
    if (!history.isOpen) return;
    history.end();
    if (settings.scope === 'all') change({ scope: 'painted' });
    changed.tell();
  }

  function cancelStroke() {
    const rect = history?.cancel();
    if (rect) drawn.tell(rect);
    changed.tell();
  }

  function step(how) {
    const rect = history?.[how]();
    if (!rect) return;
    drawn.tell(rect);
    changed.tell();
  }

  /**
   * A mask file instead of the mask at hand (or added to it): as bright as it is, or where it is transparent as opaque.
   * Throws { problem, fix, canStretch } when it is of another size.
   */
  async function loadMask(file, { stretch = false, adds = false } = {}) {
    const image = await createImageBitmap(file, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
    const { width, height } = node.source;
    if (!stretch && (image.width !== width || image.height !== height)) {
      const told = { w: image.width, h: image.height, width, height };
      throw Object.assign(new Error('size'), {
        problem: Easel.say('canvas.mask_size', told),
        fix: Easel.say('canvas.mask_size.fix'),
        canStretch: true,
      });
    }
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    context.drawImage(image, 0, 0, width, height);
    const bytes = context.getImageData(0, 0, width, height).data;
    let isOpaque = true;
    for (let k = 3; k < bytes.length && isOpaque; k += 4) isOpaque = bytes[k] === 255;
    edit(mask => {
      for (let k = 0; k < mask.data.length; k += 1) {
        const [r, g, b, a] = [bytes[4 * k], bytes[4 * k + 1], bytes[4 * k + 2], bytes[4 * k + 3]];
        const value = isOpaque ? (r === g && g === b ? r : Math.round(0.299 * r + 0.587 * g + 0.114 * b)) : a;
        mask.data[k] = adds ? Math.max(mask.data[k], value) : value;
      }
      return maskBits.all(mask);
    });
  }

  // Places with words of their own

  function addRegion() {
    const key = `region-${Date.now()}`;
    node.regions = [...node.regions, { key, prompt: '', negative_prompt: '', strength: 1 }];
    active = key;
    keepNode();
    drawn.tell(null);
  }

  function changeRegion(key, what) {
    node.regions = node.regions.map(region => (region.key === key ? { ...region, ...what } : region));
    keepNode();
  }

  function removeRegion(key) {
    removed = node.regions.find(region => region.key === key);
    node.regions = node.regions.filter(region => region.key !== key);
    if (active === key) active = MAIN;
    keepNode();
    drawn.tell(null);
  }

  function bringBack() {
    node.regions = [...node.regions, removed];
    active = removed.key;
    removed = null;
    keepNode();
    drawn.tell(null);
  }

  function activate(key) {
    active = key;
    changed.tell();
    drawn.tell(null);
  }

  /** All masks that count, with their words: of the settings first. */
  const layers = () => [{ key: MAIN }, ...(node?.regions ?? [])];

  // What belongs together

  const isMasked = () => settings.scope !== 'all';
  const hasBorder = () => Object.values(settings.border).some(Boolean);
  const isPainted = key => !maskBits.isEmpty(maskOf(key));

  /** Pictures of this work, in the order in which they were begun. */
  const family = () =>
    [...nodes.values()].filter(one => one.work === node?.work).sort((a, b) => a.made - b.made);

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
    bringBack,
    activate,
    layers,
    maskOf,
    isPainted,
    isMasked,
    hasBorder,
    family,
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
    get removed() {
      return removed;
    },
    get canUndo() {
      return Boolean(history?.canUndo);
    },
    get canRedo() {
      return Boolean(history?.canRedo);
    },
    get isDrawing() {
      return Boolean(history?.isOpen);
    },
  };
})();
