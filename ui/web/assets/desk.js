// What stands on the mixing desk: models, method, weights, LoRAs, and how the picture is painted. Remembered by the
// browser, with undo and redo; two settings stand side by side, to go back and forth between.
Easel.desk = (() => {
  const { ask, memory, signal } = Easel;
  const changed = signal(); // () after every change
  const offered = signal(); // () once it is known what there is to choose from
  const MIX = ['models', 'method', 'parameters', 'blocks', 'elemental', 'vae', 'dtype', 'pruned', 'loras'];
  const MOST_UNDO = 200;
  const PAUSE = 120; // ms at rest before a change counts as made
  const KEEP = 'keep'; // the method of one model alone
  const FIRST = {
    models: [],
    method: 'weighted_sum',
    parameters: {},
    blocks: {},
    elemental: '',
    vae: 'A',
    dtype: '',
    pruned: false,
    loras: [],
    name: '',
    picture: { prompt: '', negative_prompt: '', seed: 7, steps: 20, cfg: 5, width: 192, height: 192 },
    notes: '',
  };
  let state = { ...FIRST, ...memory.get('desk') };
  state.picture = { ...FIRST.picture, ...state.picture };
  let offers = null;
  let slot = memory.get('desk.slot') ?? 0,
    others = memory.get('desk.others') ?? null; // the other of the two settings
  const histories = [0, 1].map(() => ({ past: [], future: [] })); // of each setting
  let saving = 0,
    lastUndo = { what: '', at: 0 };

  const copy = value => JSON.parse(JSON.stringify(value));
  const mix = () => copy(Object.fromEntries(MIX.map(name => [name, state[name]])));

  /** Takes `what` over. Changes of one thing in quick succession (a fader on its way) are one step of undo. */
  function change(what, { about = Object.keys(what).join(), undo = true } = {}) {
    if (undo && Object.keys(what).some(name => MIX.includes(name))) {
      const now = performance.now();
      const { past, future } = histories[slot];
      if (about !== lastUndo.what || now - lastUndo.at > 800) past.push(mix());
      lastUndo = { what: about, at: now };
      if (past.length > MOST_UNDO) past.shift();
      future.length = 0;
    }
    state = { ...state, ...what };
    tell();
  }

  function tell() {
    clearTimeout(saving);
    saving = setTimeout(save, PAUSE);
    changed.tell();
  }

  function save() {
    memory.set('desk', state);
    memory.set('desk.slot', slot);
    memory.set('desk.others', others);
  }
  addEventListener('pagehide', save);

  function step(from, to) {
    if (!from.length) return;
    to.push(mix());
    state = { ...state, ...from.pop() };
    lastUndo = { what: '', at: 0 };
    tell();
  }

  /** To the other of the two settings; the first time both are the same. */
  function flip(to) {
    if (to === slot) return;
    const mine = mix();
    lastUndo = { what: '', at: 0 };
    state = { ...state, ...(others ?? mine) };
    others = mine;
    slot = to;
    tell();
  }

  // What is offered

  async function begin() {
    const [told] = await Promise.all([ask('api/desk'), Easel.models.list.length || Easel.models.refresh()]);
    offers = told;
    if (!state.models.filter(Boolean).length) firstModels();
    if (!state.picture.prompt) state.picture.prompt = Easel.say('empty.ideas').split('|')[0];
    offered.tell();
    changed.tell();
  }

  /** Two of one family, those that ship with Easel before others. */
  function firstModels() {
    const paints = checkpoints();
    const first = paints[0];
    const second = paints.find(one => one !== first && one.family === first?.family);
    state.models = [first, second].filter(Boolean).map(one => one.name);
    const side = first?.native_size || FIRST.picture.width;
    state.picture = { ...state.picture, width: side, height: side };
  }

  /** What the mix is called until somebody says otherwise: of whom, along which curve; not as a model that is there. */
  function suggested() {
    const numbers = byBlock()[0] && state.blocks[byBlock()[0].key];
    const curve = numbers && offers.presets.find(one => JSON.stringify(one[layout()]) === JSON.stringify(numbers));
    const parts = [...state.models, ...state.loras.map(one => one.name), curve?.name].filter(Boolean);
    const plain = parts.map(part => part.split('/').pop().replace(/[^\p{L}\p{N}._-]+/gu, '-')).join('-').slice(0, 80);
    const taken = new Set(Easel.models.list.map(one => one.name.toLowerCase()));
    let name = plain || 'mix';
    for (let n = 2; taken.has(name.toLowerCase()); n += 1) name = `${plain}-${n}`;
    return name;
  }

  const title = () => state.name.trim() || suggested();

  /** Letters of the models that are still to be chosen. */
  function lacking() {
    const chosen = state.models.filter(Boolean).length;
    const how = method();
    const missing = how ? Math.max(0, how.low - chosen) : 0;
    return Array.from({ length: missing }, (_, k) => String.fromCharCode(65 + chosen + k));
  }

  const checkpoints = () => Easel.models.list.filter(one => Easel.models.paints(one) && !one.hidden);
  const model = name => Easel.models.list.find(one => one.name === name);
  const method = () => offers?.methods.find(one => one.key === state.method);
  const isAlone = () => state.method === KEEP;

  // Weights

  /** `sd` (26 blocks) or `xl` (20), after the first model. */
  const layout = () => offers?.layouts[model(state.models[0])?.family] ?? 'sd';
  const names = () => offers?.blocks[layout()] ?? [];
  const byBlock = () => (method()?.parameters ?? []).filter(one => one.by_block);
  const plain = parameter => state.parameters[parameter.key] ?? parameter.default;

  /** A number for each block; those of another layout by the names they share. */
  function weights(parameter) {
    const own = state.blocks[parameter.key];
    const wanted = names();
    if (!own) return wanted.map(() => plain(parameter));
    if (own.length === wanted.length) return own;
    const other = Object.values(offers.blocks).find(list => list.length === own.length) ?? [];
    return wanted.map(name => own[other.indexOf(name)] ?? plain(parameter));
  }

  const setWeights = (key, numbers, how) => change({ blocks: { ...state.blocks, [key]: numbers } }, how);
  const isEven = parameter => !state.blocks[parameter.key];

  // What is asked of the studio

  function mixture() {
    const how = method();
    const wanted = state.models.filter(Boolean);
    const parameters = {};
    for (const one of how?.parameters ?? [])
      if (state.parameters[one.key] !== undefined) parameters[one.key] = state.parameters[one.key];
    const blocks = {};
    for (const one of byBlock()) if (state.blocks[one.key]) blocks[one.key] = weights(one);
    const rules = byBlock().some(one => one.key === 'alpha') ? state.elemental : '';
    const isFile = state.vae.startsWith('file:');
    return {
      models: wanted.slice(0, how?.high ?? undefined),
      mix: {
        method: state.method,
        parameters,
        blocks,
        elemental: rules,
        vae: isFile ? 'file' : state.vae,
        dtype: state.dtype || null,
        pruned: state.pruned,
      },
      vae_from: isFile ? state.vae.slice(5) : '',
      loras: state.loras,
    };
  }

  /** Puts a mixture as the studio tells of it back on the desk. */
  function open(told, picture = null, notes = state.notes) {
    const { mix: how, models, vae_from: file, loras } = told;
    change({
      models,
      method: how.method,
      parameters: how.parameters,
      blocks: how.blocks,
      elemental: how.elemental,
      vae: how.vae === 'file' ? `file:${file}` : how.vae,
      dtype: how.dtype ?? '',
      pruned: how.pruned,
      loras,
      name: '',
      notes,
      ...(picture && {
        picture: Object.fromEntries(Object.keys(FIRST.picture).map(name => [name, picture[name]])),
      }),
    });
  }

  const post = body => ({
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });

  return {
    changed,
    offered,
    begin,
    change,
    undo: () => step(histories[slot].past, histories[slot].future),
    redo: () => step(histories[slot].future, histories[slot].past),
    flip,
    open,
    post,
    mixture,
    title,
    lacking,
    checkpoints,
    model,
    method,
    isAlone,
    names,
    layout,
    byBlock,
    plain,
    weights,
    setWeights,
    isEven,
    get state() {
      return state;
    },
    get offers() {
      return offers;
    },
    get slot() {
      return slot;
    },
    get canUndo() {
      return histories[slot].past.length > 0;
    },
    get canRedo() {
      return histories[slot].future.length > 0;
    },
  };
})();
