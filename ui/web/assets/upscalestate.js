// What shall be enlarged and how: the settings, the picture at hand, the upscalers there are, and the order that comes
// of them. Knows nothing of jobs and of how it looks.
Easel.upscaleState = (() => {
  const { ask, memory, signal } = Easel;
  const changed = signal(); // () settings, the picture at hand, or what is offered
  const FIRST = Easel.upscaleDefaults;
  const WORDS = ['prompt', 'negative_prompt', 'sampler', 'schedule', 'steps', 'cfg', 'loras'];
  const OWN = [...WORDS, 'seed', 'model', 'vae', 'width', 'height', 'clip_skip']; // that stay with a picture
  let settings = { ...FIRST, ...memory.get('upscale') };
  let pretended, // stands in for the picture at hand; null: for none
    source = null, // { id, url, width, height, name, image, words }
    offered = [], // upscalers, as the studio lists them
    pickles = [], // { name, converted }: files that may hold others, once they are converted
    saving = 0;
  const facts = new Map(); // id -> what is known of a source, or a promise of it

  function change(what) {
    settings = { ...settings, ...what };
    clearTimeout(saving);
    saving = setTimeout(save, 150);
    changed.tell();
  }
  const save = () => memory.set('upscale', settings);
  addEventListener('pagehide', save);

  // Upscalers

  const WAYS = {
    resample: ['resampler'],
    network: ['network'],
    redraw: ['network', 'resampler'],
    diffusion: ['diffusion'],
  };
  const choices = (way = settings.way) => offered.filter(one => WAYS[way].includes(one.way));
  const find = name => offered.find(one => one.name === name) ?? null;

  /** The one chosen for this way; where there is no such one any more, the first that can be used. */
  function upscaler(way = settings.way) {
    const fit = choices(way);
    const usable = fit.filter(one => !one.problem);
    return fit.find(one => one.name === settings[way]) ?? usable[0] ?? fit[0] ?? null;
  }

  async function refresh() {
    try {
      ({ upscalers: offered, pickles } = await ask('api/upscale/upscalers'));
    } catch (error) {
      console.warn('The upscalers could not be listed', error);
    }
    changed.tell();
  }

  // The picture at hand

  const isPainted = () => settings.way === 'redraw' || settings.way === 'diffusion';

  /** `picture`: of ours, with what it was painted by. */
  function take(found, { name = '', picture = null } = {}) {
    const words = picture?.known ? ownWords(picture) : null;
    source = { ...found, name, image: picture?.id ?? null, words };
    facts.set(found.id, found);
    memory.set('upscale.source', source);
    if (words) change(Object.fromEntries(Object.entries(words).filter(([key]) => [...WORDS, 'seed'].includes(key))));
    else changed.tell();
    return source;
  }

  /** What a picture was painted by. */
  function ownWords({ request, seed }) {
    const told = Object.entries({ ...request, seed }).filter(([key]) => OWN.includes(key));
    return Object.fromEntries(told.filter(([, value]) => value !== undefined && value !== null));
  }

  function put(known) {
    source = known;
    memory.set('upscale.source', source);
    changed.tell();
  }

  /** Bytes of a picture file to the studio, which checks and keeps them. Throws { problem, fix }. */
  const bring = blob => ask('api/sources', { method: 'POST', body: blob });
  const bringImage = picture => ask(`api/sources/of/${picture.id}`, { method: 'POST' });

  /** What is known of a source; null if it is gone. */
  function factsOf(id) {
    if (!facts.has(id)) {
      const asked = ask(`api/sources/${id}/facts`).catch(error => console.warn(error) ?? null);
      facts.set(id, asked.then(found => facts.set(id, found) && found));
      asked.then(found => found || setTimeout(() => facts.delete(id), 4000)); // then it is asked for again
    }
    return facts.get(id);
  }

  /** What is known of it by now; it is asked for if need be. */
  function known(id) {
    if (!facts.has(id)) factsOf(id).then(changed.tell);
    const found = facts.get(id);
    return found instanceof Promise ? null : found;
  }

  async function begin() {
    const last = memory.get('upscale.source');
    await (Easel.models.list.length ? refresh() : Easel.models.refresh());
    if (!last || source || !(await factsOf(last.id)) || source) return;
    source = last;
    changed.tell();
  }

  const at = () => (pretended === undefined ? source : pretended);

  // The order

  const pick = (from, names) => Object.fromEntries(names.map(name => [name, from[name]]));
  const model = () => Easel.form.values.model;
  const native = () => Easel.models.list.find(one => one.name === model())?.native_size || 512;
  const side = () => settings.side || native();
  const hasNoise = () => settings.way === 'diffusion' && (upscaler()?.noise ?? true);
  const triesSeveral = () => hasNoise() && settings.tries_several && settings.levels.length > 1;

  function levels() {
    if (!hasNoise()) return [];
    return triesSeveral() ? settings.levels : [settings.noise];
  }

  /** How it is painted; where nothing is, the words of the picture itself go on with it. */
  function painting(of, seed) {
    if (settings.way === 'redraw') {
      const size = { width: side(), height: side() };
      return { ...pick(settings, WORDS), ...size, seed, model: model() };
    }
    if (settings.way === 'diffusion') {
      const numbers = { steps: settings.free_steps, cfg: settings.free_cfg };
      return { ...pick(settings, ['prompt', 'negative_prompt']), ...numbers, seed };
    }
    return of.words ?? {};
  }

  const size = () =>
    settings.by === 'size' ? pick(settings, ['width', 'height', 'frame']) : { factor: settings.factor };

  /** The order for a source, with the settings as they are now. */
  function order(of = at(), seed = settings.seed) {
    const second = settings.way === 'diffusion' || settings.second === upscaler()?.name ? '' : settings.second;
    return {
      kind: 'upscale',
      source: of.id,
      upscaler: upscaler()?.name ?? settings[settings.way],
      second,
      ...pick(settings, ['blend', 'tile', 'overlap', 'output', 'quality']),
      ...size(),
      strength: settings.way === 'redraw' ? settings.strength : 0,
      noise_levels: levels(),
      picture: painting(of, seed),
    };
  }

  /** What becomes of a source: { width, height } that is kept. */
  function target(of = at()) {
    const { box } = Easel.upscaleSized(order(of), of);
    return { width: box[2] - box[0], height: box[3] - box[1] };
  }

  const hasSize = () => settings.by === 'factor' || Boolean(settings.width || settings.height);

  Easel.models.changed.on(refresh);
  Easel.models.offered.on(refresh); // a file has come or gone, and nobody looks at the list of models
  return {
    changed,
    change,
    choices,
    find,
    upscaler,
    refresh,
    take,
    put,
    ownWords,
    bring,
    bringImage,
    factsOf,
    known,
    begin,
    order,
    target,
    hasSize,
    hasNoise,
    triesSeveral,
    isPainted,
    native,
    model,
    get settings() {
      return settings;
    },
    get pickles() {
      return pickles;
    },
    pretend(what) {
      pretended = what;
    },
    get source() {
      return at();
    },
  };
})();
