// What the studio is asked on the Upscale page, and what it answers: several files at once, the jobs under way, the
// pictures that came of them, and what of all this stands on the stage.
Easel.upscale = (() => {
  const { ask, signal, say } = Easel;
  const state = Easel.upscaleState;
  const { post } = Easel.desk;
  const changed = signal(); // () whenever something here is otherwise
  const jobs = new Map(); // job -> { view, asked, source }
  const keeping = new Set(Easel.memory.get('upscale.hidden') ?? []); // results that gave way to a better one
  const pictures = new Map(); // id -> facts, of what the list of all pictures does not hold yet
  let chosen = null, // the result that is looked at
    follows = true, // whatever is at work is shown
    mode = 'split', // split | side | levels
    problem = null, // a view of stage "error"
    isAsking = false,
    sample = null; // a made-up state that stands in for the real one

  // The order

  /** Why nothing can be enlarged just now: a key of the words, or null. */
  function obstacle() {
    if (!state.source && !Easel.upscaleFiles.rows.length) return 'upscale.no_picture';
    if (!state.upscaler()) return `upscale.none.${state.settings.way}`;
    if (!state.hasSize()) return 'upscale.no_size';
    const files = Easel.upscaleFiles;
    if (files.rows.length && !files.ready().length)
      return files.isActive ? 'upscale.files.busy' : 'upscale.files.nothing';
    return null;
  }

  const freshSeed = () => (state.settings.fresh_seed ? Easel.fields.randomSeed(1) : state.settings.seed);

  async function submit(source, seed) {
    const asked = state.order(source, seed);
    const job = await ask('api/jobs', post(asked));
    jobs.set(job.id, { view: Easel.live.latest(job.id) ?? null, asked, source });
    const told = Easel.live.latest(job.id);
    if (told) await hear(told);
    return job.id;
  }

  /** The picture at hand, or every file of the list, becomes a job. */
  async function run() {
    if (isAsking || sample || obstacle() || Easel.upscaleForecast.problem) return;
    isAsking = true;
    problem = null;
    follows = true;
    chosen = null;
    const seed = freshSeed();
    if (state.isPainted()) state.change({ seed });
    changed.tell();
    try {
      if (Easel.upscaleFiles.rows.length) await Easel.upscaleFiles.submit(row => submit(row.source, seed));
      else await submit(state.source, seed);
    } catch (error) {
      fail(error);
    }
    isAsking = false;
    changed.tell();
  }

  function fail(error, fixes = []) {
    problem = Easel.views.failure(error, fixes);
    changed.tell();
  }

  // Jobs under way

  async function hear(told) {
    if (!jobs.has(told.job) && !(await learn(told))) return;
    const job = jobs.get(told.job);
    if (!job || !isNewest(told)) return;
    job.view = told;
    await recall(told.images ?? []);
    if (!isNewest(told)) return;
    Easel.upscaleFiles.hear(told);
    if (Easel.live.hasEnded(told)) finish(told);
    changed.tell();
  }

  // Whoever waited for an answer may come back after the job's end was told.
  const isNewest = told => (Easel.live.latest(told.job) ?? told) === told;

  /** A job that was not asked for by this page, or before it was loaded anew. */
  async function learn(told) {
    if (Easel.live.hasEnded(told)) return false;
    jobs.set(told.job, { view: told, asked: null, source: null });
    try {
      const { request } = await ask(`api/jobs/${told.job}`);
      const found = await state.factsOf(request.source);
      if (jobs.has(told.job)) Object.assign(jobs.get(told.job), { asked: request, source: found });
    } catch (error) {
      console.warn(error);
    }
    return true;
  }

  function finish(told) {
    jobs.delete(told.job);
    if (told.stage === 'error') {
      if (!Easel.upscaleFiles.has(told.job)) problem = { ...told, fixes: [again] };
    } else if (follows && told.images?.length) {
      chosen = pictures.get(told.images.at(-1)) ?? chosen;
      if (told.images.length > 1) mode = 'levels';
      else if (mode === 'levels') mode = 'split';
    }
    Easel.upscaleForecast.again(); // now it is known how long this takes
    Easel.pictures.refresh();
  }

  const again = { text: say('fix.again'), act: () => run() };

  async function recall(ids) {
    for (const id of ids.filter(one => !pictures.has(one))) {
      try {
        pictures.set(id, Easel.pictures.readable(await ask(`api/images/${id}/facts`)));
      } catch (error) {
        console.warn('A result is gone, or could not be asked for', error);
      }
    }
  }

  Easel.live.news.job.on(told => {
    if (told.kind === 'upscale') hear(told).catch(console.warn);
  });
  Easel.live.news.preview.on(job => {
    if (jobs.has(job)) changed.tell();
  });

  /** The job at work, or the next one. */
  function present() {
    const mine = [...jobs].filter(([, one]) => one.view && !Easel.live.hasEnded(one.view));
    const [id, one] = mine.find(([, job]) => job.view.stage !== 'queued') ?? mine[0] ?? [];
    return one ? { ...one, job: id } : null;
  }

  const stop = mode => {
    const job = present();
    return job ? Easel.live.stop(job.job, mode) : false;
  };

  // Results

  const isResult = picture => picture.kind === 'upscale' && !keeping.has(picture.id);

  /** Everything that was enlarged, newest first. */
  function results() {
    const all = new Map([...pictures.values(), ...Easel.pictures.list].map(one => [one.id, one]));
    return [...all.values()].filter(isResult).sort((a, b) => b.id - a.id);
  }

  /** Those of one job, with the noise of each. */
  function siblings(picture) {
    if (sample) return sample.siblings ?? [];
    const mine = picture ? results().filter(one => one.job === picture.job) : [];
    return mine.sort((a, b) => a.index - b.index);
  }

  const hasLevels = picture => (picture?.asked?.noise_levels?.length ?? 0) > 1 && siblings(picture).length > 1;

  async function choose(picture) {
    problem = null;
    follows = false;
    chosen = picture;
    if (mode === 'levels' && !hasLevels(picture)) mode = 'split';
    changed.tell();
    const found = await state.factsOf(picture.asked.source);
    if (chosen !== picture || !found) return;
    const own = state.source?.id === found.id ? state.source : found;
    state.put({ name: '', image: null, words: picture.known ? state.ownWords(picture) : null, ...own });
  }

  /** Of several noise levels this one is right: the others give way, and the next picture begins with it. */
  function keep(picture) {
    for (const one of siblings(picture)) if (one.id !== picture.id) keeping.add(one.id);
    Easel.memory.set('upscale.hidden', [...keeping].slice(-500));
    chosen = picture;
    mode = 'split';
    state.change({ noise: picture.asked.noise_levels[picture.index], tries_several: false });
    changed.tell();
  }

  const lastShown = Number(sessionStorage.getItem('easel.upscale.shown'));
  /** The result that was looked at when the page was left. */
  async function begin() {
    await state.begin();
    const id = lastShown;
    if (!id || chosen || present()) return;
    await recall([id]);
    if (pictures.get(id)?.kind === 'upscale' && !present()) await choose(pictures.get(id));
  }

  // Bringing pictures

  /** Opens `what()`, or says why it cannot be. */
  async function bring(what) {
    problem = null;
    try {
      await what();
      chosen = null;
      follows = false;
      mode = mode === 'levels' ? 'split' : mode;
    } catch (error) {
      fail(error);
    }
    changed.tell();
  }

  const openFile = file => bring(async () => state.take(await state.bring(file), { name: file.name }));

  const openImage = picture =>
    bring(async () => {
      const found = await state.bringImage(picture);
      Easel.upscaleFiles.clear();
      state.take(found, { name: picture.file.split('/').at(-1), picture });
    });

  /** From anywhere in the studio: a picture with its words. */
  async function send(picture) {
    document.querySelector('[data-tab-id="upscale"]')?.click();
    await openImage(picture);
  }

  // What stands on the stage

  function stage() {
    if (sample) return sampled();
    if (problem) return { name: 'error', view: problem, ...(state.source && shapes(state.source)) };
    const live = follows ? present() : null;
    if (live) return { name: 'running', view: live.view, job: live.job, ...shapes(live.source, live.asked) };
    if (chosen) {
      const before = state.known(chosen.asked.source);
      return { name: 'done', after: chosen, ...shapes(before, chosen.asked, chosen) };
    }
    if (state.source) return { name: 'source', ...shapes(state.source) };
    return { name: 'empty' };
  }

  /** The frame that everything is drawn in, and which part of the source fills it. */
  function shapes(before, asked = null, after = null) {
    if (!before) return { before: null, frame: after ?? { width: 1, height: 1 } };
    if (!asked) return { before, part: [0, 0, before.width, before.height], frame: before };
    const { width, height, box } = Easel.upscaleSized(asked, before);
    const [x, y] = [before.width / width, before.height / height];
    const part = [box[0] * x, box[1] * y, (box[2] - box[0]) * x, (box[3] - box[1]) * y];
    return { before, part, frame: { width: box[2] - box[0], height: box[3] - box[1] } };
  }

  function sampled() {
    const { before, after = null } = sample;
    const frame = after ?? before ?? { width: 1, height: 1 };
    return { ...sample, frame, part: before && [0, 0, before.width, before.height] };
  }

  changed.on(() => sessionStorage.setItem('easel.upscale.shown', String(chosen?.id ?? '')));
  state.changed.on(changed.tell);
  Easel.pictures.changed.on(changed.tell);

  return {
    changed,
    run,
    stop,
    fail,
    obstacle,
    present,
    stage,
    results,
    siblings,
    hasLevels,
    begin,
    choose,
    keep,
    openFile,
    openImage,
    bring,
    send,
    hear,
    follow() {
      follows = true;
      chosen = problem = null;
      changed.tell();
    },
    dismiss() {
      problem = null;
      changed.tell();
    },
    setMode(how) {
      mode = how;
      changed.tell();
    },
    pretend(what) {
      if (!what && !sample) return;
      sample = what;
      state.pretend(what ? (what.before ?? null) : undefined);
      changed.tell();
    },
    get mode() {
      if (sample) return sample.mode ?? 'split';
      return mode === 'levels' && !hasLevels(chosen) ? 'split' : mode;
    },
    get sample() {
      return sample;
    },
    get problem() {
      return sample ? (sample.name === 'error' ? sample.view : null) : problem;
    },
    get isAsking() {
      return isAsking;
    },
  };
})();
