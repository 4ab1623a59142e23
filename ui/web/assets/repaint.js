// What the studio is asked for the picture on the canvas, and what it answers: the order, the jobs under way, the
// pictures that came of them, and the one that is looked at beside its source.
Easel.repaint = (() => {
  const { ask, signal, canvas, say } = Easel;
  const { post } = Easel.desk;
  const changed = signal(); // () whenever something here is otherwise
  const MOST_SIDE = 4096;
  const jobs = new Map(); // job -> { node, view }
  const pictures = new Map(); // id -> facts
  const unseen = new Set(); // results that came while the person was at work
  let problem = null, // { view }: of stage "error"
    shown = null, // the result that is looked at
    view = 'mask', // mask | after | difference
    difference = null, // { image, changed, outside }: of `shown`
    isAsking = false,
    sample = null; // a made-up state that stands in for the real one

  // The order

  /** Why nothing can be painted just now: a key of the words, or null. */
  function obstacle() {
    const { node, settings } = canvas;
    if (!node) return 'canvas.no_picture';
    if (!canvas.isMasked()) return null;
    if (settings.scope === 'else' && node.regions.length) return 'canvas.else_of_many';
    if (canvas.hasBorder() && settings.scope !== 'else') return null;
    return canvas.layers().some(({ key }) => canvas.isPainted(key)) ? null : 'canvas.no_mask';
  }

  /** The picture's size with what is added to it. */
  const sides = () => extended(canvas.node.source);

  function extended({ width, height }) {
    if (!canvas.isMasked()) return { width, height };
    const { left, top, right, bottom } = canvas.settings.border;
    return { width: width + left + right, height: height + top + bottom };
  }

  const chosenModel = () => Easel.form.values.model;
  const native = () => Easel.models.list.find(one => one.name === chosenModel())?.native_size || 512;

  /** What the network works at: a square of the model's own size, or as large in the picture's proportions. */
  function workSize(whole = sides()) {
    const side = canvas.settings.side || native();
    if (canvas.settings.area === 'masked' && canvas.isMasked()) return { width: side, height: side };
    const scale = Math.sqrt((side * side) / (whole.width * whole.height));
    const fit = length => Math.min(MOST_SIDE, Math.max(64, Math.round((length * scale) / 8) * 8));
    return { width: fit(whole.width), height: fit(whole.height) };
  }

  const pick = (from, names) => Object.fromEntries(names.map(name => [name, from[name]]));

  /** How, without what it is done to. */
  function manner(seed) {
    const { settings } = canvas;
    return {
      kind: 'inpaint',
      ...pick(settings, ['content', 'strength', 'soft_edge', 'area', 'padding', 'match_colour', 'fit']),
      picture: { ...pick(settings, [...canvas.WORDS, 'count']), model: chosenModel(), seed },
    };
  }

  const freshSeed = () =>
    canvas.settings.fresh_seed ? Easel.fields.randomSeed(canvas.settings.count) : canvas.settings.seed;

  /** The same for a picture and a mask that the studio keeps already. */
  function orderFor(source, mask) {
    const told = manner(freshSeed());
    const size = workSize(extended(source));
    const { scope, border } = canvas.settings;
    const where = { invert: scope === 'else' && Boolean(mask), border: canvas.isMasked() ? border : {} };
    return { ...told, ...where, source: source.id, mask: mask?.id ?? null, picture: { ...told.picture, ...size } };
  }

  /** The masks brought to the studio, and the order that names them. Throws { problem, fix }. */
  async function order() {
    const { node, settings, MAIN } = canvas;
    const wanted = canvas.isMasked() ? canvas.layers().filter(({ key }) => canvas.isPainted(key)) : [];
    const pngs = wanted.map(({ key }) => Easel.greyPng(canvas.maskOf(key)));
    // All of it as it is now: the person may go on while the masks are on their way.
    const told = manner(freshSeed());
    const size = workSize();
    const { scope, border } = settings;
    const { regions } = node;
    const kept = await Promise.all(pngs.map(async png => canvas.bring(await png)));
    const ids = new Map(wanted.map(({ key }, k) => [key, kept[k].id]));
    return {
      ...told,
      source: node.source.id,
      mask: ids.get(MAIN) ?? null,
      regions: regions
        .filter(({ key }) => ids.has(key))
        .map(region => ({ mask: ids.get(region.key), ...pick(region, ['prompt', 'negative_prompt', 'strength']) })),
      invert: scope === 'else' && ids.has(MAIN),
      border: scope === 'all' ? {} : border,
      picture: { ...told.picture, ...size },
    };
  }

  /** What is on the canvas becomes a job. Painting may go on meanwhile: the job has its own copy. */
  async function run() {
    if (isAsking || sample || obstacle()) return;
    const { node, version } = canvas;
    isAsking = true;
    problem = null;
    changed.tell();
    try {
      if (!Easel.models.list.length) await Easel.models.refresh();
      const body = await order();
      const job = await ask('api/jobs', post(body));
      canvas.change({ seed: body.picture.seed });
      jobs.set(job.id, { node: node.id, version, view: null });
      view = 'mask';
      remember();
      const told = Easel.live.latest(job.id);
      if (told) await hear(told);
    } catch (error) {
      fail(error);
    }
    isAsking = false;
    changed.tell();
  }

  /** `fixes`: [{ text, act }]. */
  function fail(error, fixes = []) {
    problem = Easel.views.failure(error, fixes);
    changed.tell();
  }

  const again = { text: say('fix.again'), act: () => run() };

  /** What does not fit into memory may fit with a smaller side. */
  function smaller(told) {
    if (!['width', 'height'].includes(told?.field)) return null;
    const side = Math.max(64, Math.round(((canvas.settings.side || native()) * 0.75) / 8) * 8);
    const act = () => {
      canvas.change({ side });
      run();
    };
    return { text: say('fix.use', { value: side }), act };
  }

  // Jobs under way

  // Of this window: another one that wrote about the same picture would write over its strokes.
  const remember = () => {
    const nodes = Object.fromEntries([...jobs].map(([id, one]) => [id, one.node]));
    sessionStorage.setItem('easel.canvas.jobs', JSON.stringify(nodes));
  };

  async function hear(told) {
    const job = jobs.get(told.job);
    if (!job) return;
    job.view = told;
    await addResults(job, told.images ?? []);
    if (Easel.live.hasEnded(told)) {
      jobs.delete(told.job);
      remember();
      if (told.stage === 'error') problem = { ...told, fixes: [smaller(told.problem), again].filter(Boolean) };
      Easel.pictures.refresh();
    }
    changed.tell();
  }

  /** What came of it: shown if the person waits for it, marked if they have gone on painting. */
  async function addResults(job, ids) {
    const fresh = ids.filter(id => !pictures.has(id));
    if (!fresh.length) return;
    await recall(fresh);
    canvas.addResults(job.node, fresh);
    const isWaitedFor = canvas.node?.id === job.node && canvas.version === job.version && !canvas.isHeld;
    if (isWaitedFor) look(pictures.get(fresh.at(-1)));
    else for (const id of fresh) unseen.add(id);
  }

  async function recall(ids) {
    for (const id of ids.filter(one => !pictures.has(one))) {
      try {
        pictures.set(id, await ask(`api/images/${id}/facts`));
      } catch (error) {
        console.warn('A picture of this work is gone, or could not be asked for', error);
      }
    }
  }

  Easel.live.news.job.on(told => {
    if (jobs.has(told.job)) hear(told).catch(console.warn);
  });
  Easel.live.news.preview.on(job => {
    if (jobs.has(job)) changed.tell();
  });

  /** After a reload: jobs that went on or ended meanwhile. */
  async function findJobs() {
    for (const [id, node] of Object.entries(JSON.parse(sessionStorage.getItem('easel.canvas.jobs') ?? '{}'))) {
      jobs.set(id, { node, view: Easel.live.latest(id) ?? null });
      try {
        const job = await ask(`api/jobs/${id}`);
        if (job.state === 'queued' || job.state === 'running') continue;
        const stage = job.state === 'failed' ? 'error' : 'done';
        const told = { title: job.problem?.problem, line: job.problem?.fix, problem: job.problem };
        await hear({ job: id, stage, images: job.pictures, ...told });
      } catch (error) {
        console.warn(error);
        jobs.delete(id);
      }
    }
    remember();
  }

  /** The job at work for the picture on the canvas, or the next one. */
  function present() {
    const mine = [...jobs].filter(([, one]) => one.node === canvas.node?.id && one.view);
    const [id, one] = mine.find(([, job]) => job.view.stage !== 'queued') ?? mine[0] ?? [];
    return one ? { ...one.view, job: id, isAsked: one.version === canvas.version } : null;
  }

  const stop = mode => {
    const job = present();
    return job ? Easel.live.stop(job.job, mode) : false;
  };

  // Looking

  function look(picture, how = 'after') {
    unseen.delete(picture?.id);
    if (picture !== shown) difference = null;
    shown = picture;
    view = picture ? how : 'mask';
    if (view === 'difference') compare();
    changed.tell();
  }

  const setView = how => (how === 'mask' ? ((view = 'mask'), changed.tell()) : look(shown ?? latest(), how));

  const latest = () => pictures.get(canvas.node?.results.at(-1)) ?? null;

  /** The picture of what differs, and how many pixels do. Throws { problem, fix }. */
  async function count({ url }) {
    const answer = await fetch(new URL(url.replace('?', '/difference?'), document.baseURI));
    if (!answer.ok) {
      const { error } = await answer.json();
      throw Object.assign(new Error(error.problem), error);
    }
    const number = name => Number(answer.headers.get(`Easel-${name}`));
    return { image: answer.url, changed: number('Changed'), outside: number('Outside') };
  }

  /** What differs between the picture and its source, counted by the studio pixel by pixel. */
  async function compare() {
    const of = shown;
    if (!of || difference) return;
    try {
      const told = await count(of);
      if (shown === of) difference = told;
    } catch (error) {
      fail(error);
    }
    changed.tell();
  }

  /** The result that is looked at becomes the picture that is painted on. */
  async function goOn(picture = shown) {
    if (!picture) return;
    try {
      await canvas.openImage(picture, { next: true });
    } catch (error) {
      fail(error);
    }
  }

  /** Opens `what()` on the canvas, or says why it cannot be. */
  async function bring(what) {
    problem = null;
    try {
      await what();
    } catch (error) {
      fail(error);
    }
  }

  /** From anywhere in the studio: a picture with its words. */
  async function send(picture) {
    document.querySelector('[data-tab-id="inpaint"]')?.click();
    await bring(() => canvas.openImage(picture));
  }

  let seen = null; // the picture on the canvas when it was last looked
  canvas.changed.on(() => {
    if (canvas.node === seen) return;
    seen = canvas.node;
    shown = difference = problem = null;
    view = 'mask';
    const thumbs = canvas.otherWorks().map(one => one.image);
    const results = canvas.family().flatMap(one => one.results);
    recall([...results, ...thumbs].filter(Boolean)).then(changed.tell);
    changed.tell();
  });

  async function begin() {
    await canvas.begin();
    await findJobs();
    if (!Easel.models.list.length) await Easel.models.refresh();
    changed.tell();
  }

  return {
    changed,
    begin,
    run,
    stop,
    obstacle,
    sides,
    native,
    post,
    orderFor,
    workSize,
    present,
    look,
    setView,
    goOn,
    bring,
    send,
    fail,
    picture: id => pictures.get(id),
    isUnseen: id => unseen.has(id),
    dismiss() {
      problem = null;
      changed.tell();
    },
    /** Shows a state with made-up data, for designers and tests; null: as it really is. */
    async pretend(state) {
      if (!state && !sample) return;
      sample = state;
      const { isEmpty, before: url, width, height } = state ?? {};
      await canvas.pretend(isEmpty ? null : url && { id: 'sample', url, width, height });
      changed.tell();
    },
    get sample() {
      return sample;
    },
    get problem() {
      return sample ? (sample.problem ?? null) : problem;
    },
    get shown() {
      return sample ? (sample.after ?? null) : shown;
    },
    get view() {
      return sample ? (sample.after ? 'after' : 'mask') : view;
    },
    get difference() {
      return difference;
    },
    get live() {
      return sample ? (sample.view ?? null) : present();
    },
    get isAsking() {
      return isAsking;
    },
  };
})();
