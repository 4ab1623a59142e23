// What the studio is asked for the desk, and what it answers: previews that follow the faders, how it stands with the
// mixture, how far A and B lie apart, and the mixture kept. Knows nothing of how it looks.
Easel.mixing = (() => {
  const { ask, memory, signal } = Easel;
  const { desk } = Easel;
  const changed = signal(); // () whenever something here is otherwise
  const REST = 160; // ms: a fader that moves on is not asked about yet
  const ASKED = 120; // among them cells of sheets
  const STRIP = 24; // earlier mixes that are shown
  let shown = null, // the picture's row
    live = null, // { url, share, line }: the one that is being painted
    problem = null, // { problem, fix }: why there is no picture
    running = null, // job of the present preview
    asked = '', // what it was asked with
    asking = 0,
    earlier = [],
    check = null, // how it stands: { family, tensors, ... } or { refused: { problem, fix } }
    distances = null, // block -> [apart, cosine]
    pair = '', // the models they are of
    comparing = null, // job
    kept = memory.get('desk.kept'), // { job, name, only_recipe }: the save under way
    keeping = null, // its view
    isAsking = false; // whether it has been asked for, and has not begun
  const references = new Map(); // what A or B alone paints: key -> thumb
  let wanted = null; // the reference that is being painted { key, job }
  let isSeen = false;
  let sample = null; // made-up { shown, live, problem, check, lacking } that stand in for the real ones

  // The preview

  const order = () => ({ kind: 'preview', mixture: desk.mixture(), picture: desk.state.picture });

  function rest() {
    clearTimeout(asking);
    asking = setTimeout(() => {
      preview().then(paintReferences);
      look();
      compare();
    }, REST);
  }

  /** A picture of the mix as it stands, unless it is shown already. `again`: whatever was painted. */
  async function preview(again = false) {
    if (!isSeen || sample || !desk.offers) return;
    if (desk.lacking().length) {
      asked = '';
      problem = live = null;
      if (running) Easel.live.stop(running, 'now');
      running = null;
      changed.tell();
      return;
    }
    const body = order();
    const key = JSON.stringify(body);
    if (!again && key === asked) return;
    asked = key;
    const old = running;
    running = null;
    problem = null;
    if (old) Easel.live.stop(old, 'now');
    const before = !again && earlier.find(isPresent);
    if (before) {
      shown = before;
      live = null;
      changed.tell();
      return;
    }
    try {
      const job = await ask('api/jobs', desk.post(body));
      if (asked !== key) {
        Easel.live.stop(job.id, 'now'); // overtaken
        return;
      }
      running = job.id;
      catchUp(job.id, hear);
    } catch (error) {
      if (asked === key) fail(error);
    }
    changed.tell();
  }

  /** What was told of a job before we knew that it is ours. */
  function catchUp(job, listener) {
    const view = Easel.live.latest(job);
    if (view) listener(view);
  }

  function fail(error) {
    problem = { problem: error.problem ?? error.message, fix: error.fix ?? '' };
    live = null;
    running = null;
    changed.tell();
  }

  async function hear(view) {
    if (view.job === wanted?.job) return hearReference(view);
    if (view.job !== running) return;
    if (view.stage === 'error') return fail(view.problem);
    if (view.stage !== 'done') {
      live = { ...live, share: view.share, line: [view.title, view.line].filter(Boolean).join(' · ') };
      changed.tell();
      return;
    }
    running = null;
    if (view.images.length) {
      const row = await ask(`api/images/${view.images[0]}/facts`);
      shown = row;
      earlier = [row, ...earlier.filter(one => !isSame(one.request, row.request))].slice(0, STRIP);
    }
    live = null;
    changed.tell();
    paintReferences();
  }

  Easel.live.news.desk.on(view => hear(view).catch(console.warn));
  Easel.live.news.preview.on((job, url) => {
    if (job !== running) return;
    live = { ...live, url };
    changed.tell();
  });

  // What A and B alone would paint, in the corners; made when the desk is at rest

  const alone = name => ({
    kind: 'preview',
    mixture: { models: [name], mix: { method: 'keep' } },
    picture: desk.state.picture,
  });

  function reference(name) {
    return name ? references.get(JSON.stringify(alone(name))) : null;
  }

  async function paintReferences() {
    if (wanted || running || desk.isAlone()) return;
    const name = desk.state.models.slice(0, 2).find(one => one && !references.has(JSON.stringify(alone(one))));
    if (!name) return;
    const key = JSON.stringify(alone(name));
    wanted = { key, job: null };
    try {
      wanted.job = (await ask('api/jobs', desk.post(alone(name)))).id;
      catchUp(wanted.job, hear);
    } catch (error) {
      console.warn(error);
      references.set(key, null);
      wanted = null;
    }
  }

  async function hearReference(view) {
    if (!Easel.live.hasEnded(view)) return;
    const { key } = wanted;
    wanted = null;
    references.set(key, view.images?.length ? await ask(`api/images/${view.images[0]}/facts`) : null);
    changed.tell();
    paintReferences();
  }

  // Earlier mixes

  const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const isReference = ({ request }) => request?.mixture.mix.method === 'keep' && !request.mixture.loras.length;

  async function recall() {
    const { images } = await ask(`api/images?kind=preview&limit=${ASKED}`);
    const mixes = images.filter(row => row.request && !row.missing && !row.request.label && !isReference(row));
    const isNew = (row, k) => mixes.findIndex(one => isSame(one.request, row.request)) === k;
    earlier = mixes.filter(isNew).slice(0, STRIP);
    for (const row of images.filter(isReference)) {
      const { mixture, picture } = row.request;
      references.set(JSON.stringify(remembered(mixture.models[0], picture)), row);
    }
    const same = earlier.find(row => isPresent(row));
    if (same) {
      shown = same;
      asked = JSON.stringify(order());
    }
    changed.tell();
  }

  /** As `alone` asks for it: the fields of the desk only. */
  function remembered(name, picture) {
    const fields = Object.keys(desk.state.picture).map(key => [key, picture[key]]);
    return { ...alone(name), picture: Object.fromEntries(fields) };
  }

  /** Whether a picture is of the mix that stands on the desk. */
  function isPresent(row) {
    const { mixture, picture } = order();
    const told = row.request;
    if (row === sample?.shown) return !sample.live;
    return (
      isSame(told.mixture.models, mixture.models) &&
      isSame(told.mixture.mix.blocks, mixture.mix.blocks) &&
      isSame(told.mixture.mix.parameters, mixture.mix.parameters) &&
      isSame(told.mixture.loras, mixture.loras) &&
      told.mixture.vae_from === mixture.vae_from &&
      ['method', 'elemental', 'vae', 'dtype'].every(name => told.mixture.mix[name] === mixture.mix[name]) &&
      Object.entries(picture).every(([name, value]) => told.picture[name] === value)
    );
  }

  function bringBack(row) {
    shown = row;
    if (!earlier.some(one => one.id === row.id)) earlier = [row, ...earlier].slice(0, STRIP);
    desk.open(row.request.mixture, row.request.picture);
    asked = JSON.stringify(order());
    changed.tell();
  }

  // How it stands

  let checking = 0;
  async function look() {
    const mine = ++checking;
    if (!desk.offers || desk.lacking().length) {
      check = null;
      changed.tell();
      return;
    }
    const body = { mixture: desk.mixture(), name: desk.title(), only_recipe: false };
    try {
      const found = await ask('api/desk/check', desk.post(body));
      if (mine === checking) check = found;
    } catch (error) {
      if (mine === checking) check = { refused: { problem: error.problem ?? error.message, fix: error.fix ?? '' } };
    }
    changed.tell();
  }

  // How far A and B lie apart

  async function compare() {
    const [a, b] = desk.state.models;
    const now = a && b ? `${a}\n${b}` : '';
    if (now === pair) return;
    pair = now;
    distances = null;
    comparing = null;
    if (!now) return;
    try {
      const told = await ask('api/desk/distances', desk.post({ a, b }));
      if (pair !== now) return;
      distances = told.blocks ?? null;
      comparing = told.job ?? null;
      if (comparing) catchUp(comparing, hearWork);
    } catch (error) {
      console.warn(error); // models of two families: the line below says so
    }
    changed.tell();
  }

  // Keeping it

  async function keep({ onlyRecipe }) {
    if (isAsking || kept?.job) return;
    isAsking = true;
    const { notes } = desk.state;
    const body = { kind: 'merge', mixture: desk.mixture(), name: desk.title(), only_recipe: onlyRecipe, notes };
    keeping = null;
    try {
      const job = await ask('api/jobs', desk.post(body));
      kept = { job: job.id, name: body.name, onlyRecipe };
    } catch (error) {
      kept = { name: body.name, onlyRecipe, problem: { problem: error.problem ?? error.message, fix: error.fix } };
    }
    isAsking = false;
    memory.set('desk.kept', kept.job ? kept : null);
    if (kept.job) catchUp(kept.job, hearWork);
    changed.tell();
  }

  function hearWork(view) {
    if (view.job === comparing && Easel.live.hasEnded(view)) {
      pair = '';
      compare();
    }
    if (view.job !== kept?.job) return;
    keeping = view;
    if (Easel.live.hasEnded(view)) {
      memory.set('desk.kept', null);
      const isDone = view.stage === 'done' && !view.problem;
      kept = { ...kept, job: null, isDone, problem: view.problem ?? null, isStopped: isDone && view.share < 1 };
      // The name is taken now: the next one is another.
      if (isDone && desk.state.name.trim() === kept.name) desk.change({ name: '' });
      look();
    }
    changed.tell();
  }
  Easel.live.news.model.on(hearWork);

  /** After a reload: the save that was under way goes on, or has ended meanwhile. */
  async function findKept() {
    if (!kept?.job) return;
    try {
      const job = await ask(`api/jobs/${kept.job}`);
      if (job.state === 'queued' || job.state === 'running') return;
      const share = job.state === 'finished' ? 1 : 0;
      hearWork({ job: job.id, stage: job.state === 'failed' ? 'error' : 'done', share, problem: job.problem });
    } catch (error) {
      console.warn(error);
      kept = null;
      memory.set('desk.kept', null);
    }
  }

  /** Puts the recipe of a model, or of the model of a picture, on the desk and goes there. Throws { problem, fix }. */
  async function openRecipe(of) {
    const told = await ask(`api/desk/recipe?${new URLSearchParams(of)}`);
    desk.open(told.mixture, told.picture, told.notes);
    document.querySelector('[data-tab-id="merge"]')?.click();
  }

  function forgetKept() {
    kept = keeping = null;
    changed.tell();
  }

  /** Shows a state with made-up data, for designers and tests; null: as it really is. */
  function pretend(state) {
    sample = state;
    changed.tell();
  }

  /** The page is looked at for the first time. */
  async function begin() {
    await desk.begin();
    isSeen = true;
    await Promise.allSettled([recall(), findKept()]);
    desk.changed.on(rest);
    Easel.models.changed.on(look);
    Easel.live.news.models.on(() => Easel.models.refresh().catch(console.warn));
    rest();
  }

  return {
    changed,
    begin,
    preview,
    reference,
    bringBack,
    isPresent,
    keep,
    openRecipe,
    forgetKept,
    pretend,
    stopKeeping: () => kept?.job && Easel.live.stop(kept.job, 'now'),
    get shown() {
      return sample ? sample.shown : shown;
    },
    get live() {
      if (sample) return sample.live;
      return running ? (live ?? {}) : null;
    },
    get problem() {
      return sample ? sample.problem : problem;
    },
    /** The letters of models that are still to be chosen. */
    get lacking() {
      return sample?.lacking ?? desk.lacking();
    },
    get earlier() {
      return earlier;
    },
    get check() {
      return sample?.check ?? check;
    },
    get distances() {
      return distances;
    },
    get isComparing() {
      return Boolean(comparing);
    },
    get kept() {
      return kept;
    },
    get keeping() {
      return keeping;
    },
  };
})();
