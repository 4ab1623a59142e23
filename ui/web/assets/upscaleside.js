// Beside the pictures of the Upscale page: the way, the upscaler, the size, what is painted into it, and the press.
Easel.upscaleSide = () => {
  const { make, icon, patch, say, fields, upscale } = Easel;
  const state = Easel.upscaleState;
  const setting = name => ({ get: () => state.settings[name], set: value => state.change({ [name]: value }) });
  const limits = (low, high, step) => ({ low, high, step });
  const choices = (key, values) => values.map(value => [value, say(`${key}.${value}`)]);

  const SMALLEST = 96; // pixels of a tile that a network sees

  // The way and the upscaler

  const way = fields.segments({
    label: say('upscale.way'),
    choices: choices('upscale.way', ['resample', 'network', 'redraw', 'diffusion']),
    ...setting('way'),
  });
  const hint = make('p', { class: 'quiet wayhint' });
  const resampler = fields.segments({
    label: say('upscale.resampler'),
    choices: ['lanczos', 'bicubic', 'nearest'].map(name => [name, Easel.upscaleName(name)]),
    ...setting('resample'),
  });
  const network = Easel.upscalePicker('network', say('field.upscaler'), {
    get: () => state.upscaler()?.name ?? '',
    set: name => state.change({ [state.settings.way]: name }),
    offered: () => state.choices(),
  });
  const none = make('p', { class: 'quiet' });
  const pickles = Easel.upscalePickles();

  // What is painted into it

  const words = fields.prompts({ label: say('upscale.prompt'), rows: 2, setting });
  const loras = Easel.upscaleLoras();
  const strength = fields.slider({
    label: say('upscale.strength'),
    limits: limits(0.01, 1, 0.01),
    ...setting('strength'),
  });
  const number = (name, key, least, most, step, handy) =>
    fields.slider({ label: say(`field.${key}`), limits: limits(least, most, step), drag: handy, ...setting(name) });
  const steps = number('steps', 'steps', 1, 1000, 1, limits(1, 60, 1));
  const cfg = number('cfg', 'cfg', 0, 30, 0.1, limits(0, 15, 0.5));
  const freeSteps = number('free_steps', 'steps', 1, 1000, 1, limits(1, 75, 1));
  const freeCfg = number('free_cfg', 'cfg', 0, 30, 0.1, limits(0, 15, 0.5));
  const seed = fields.box({
    label: say('field.seed'),
    limits: limits(0, 2 ** 32 - 1, 1),
    get: () => state.settings.seed,
    set: value => state.change({ seed: value, fresh_seed: false }),
  });
  const fresh = { 'aria-label': say('seed.fresh'), title: say('seed.fresh') };
  const dice = make('button', { class: 'btn sq', ...fresh, onclick: toggleSeed }, icon('dice'));
  function toggleSeed() {
    state.change({ fresh_seed: !state.settings.fresh_seed });
  }
  const row = (...inside) => make('div', {}, make('div', { class: 'two' }, inside));
  const seedRow = make('div', { class: 'seedrow' }, seed.node, dice);
  const noise = Easel.upscaleNoise();

  // Folded away

  const second = Easel.upscaleSecond();
  const tiles = fields.fold({
    id: 'upscale-tiles',
    label: () => `${say('upscale.tiles')} · ${tilesNow()}`,
    fields: [
      fields.slider({
        label: say('upscale.tile'),
        limits: limits(0, 4096, 16),
        drag: limits(0, 1024, 32),
        get: () => state.settings.tile,
        // Less than a hundred or so is too small for any network.
        set: tile => state.change({ tile: tile && tile < SMALLEST ? (tile < SMALLEST / 2 ? 0 : SMALLEST) : tile }),
      }),
      make('p', { class: 'quiet' }, say('upscale.tile.hint')),
      Easel.upscaleSideField(),
      fields.slider({
        label: say('upscale.overlap'),
        limits: limits(0, 50, 1),
        get: () => Math.round(state.settings.overlap * 100),
        set: value => state.change({ overlap: value / 100 }),
      }),
    ],
  });

  function tilesNow() {
    const { way: how, tile, overlap, side } = state.settings;
    const painted = { n: side || state.native(), m: Math.round(overlap * 100) };
    if (how === 'redraw') return say('upscale.tiles.painted', painted);
    return tile ? say('upscale.tiles.of', { n: tile }) : say('upscale.tiles.auto');
  }

  const sampling = fields.fold({
    id: 'upscale-sampling',
    label: () => ['sampler', 'schedule'].map(name => Easel.names[name][state.settings[name]]).join(' · '),
    fields: ['sampler', 'schedule'].map(name =>
      fields.select({ label: say(`field.${name}`), choices: Object.entries(Easel.names[name]), ...setting(name) }),
    ),
  });
  const file = fields.fold({
    id: 'upscale-file',
    label: () => `${say('upscale.output')} · ${fileNow()}`,
    fields: [
      fields.segments({
        label: say('upscale.output'),
        choices: [['png', 'PNG'], ['webp', 'WebP'], ['jpeg', 'JPEG'], ['avif', 'AVIF']],
        ...setting('output'),
      }),
      fields.slider({ label: say('upscale.quality'), limits: limits(1, 100, 1), ...setting('quality') }),
    ],
  });

  function fileNow() {
    const { output, quality } = state.settings;
    const name = { png: 'PNG', webp: 'WebP', jpeg: 'JPEG', avif: 'AVIF' }[output];
    return output === 'png' ? name : `${name} ${quality}`;
  }

  const size = Easel.upscaleSize();
  const parts = [way, resampler, network, size, words, loras, strength, steps, cfg, freeSteps, freeCfg];
  parts.push(pickles, seed, noise, second, tiles, sampling, file);
  const node = make(
    'div',
    { class: 'scroll' },
    make('div', { class: 'group' }, way.node, hint),
    make('div', { class: 'group' }, resampler.node, network.node, none, pickles.node),
    size.node,
    words.node,
    loras.node,
    noise.node,
    strength.node,
    row(steps.node, cfg.node),
    row(freeSteps.node, freeCfg.node),
    seedRow,
    make('div', { class: 'folds' }, second.node, tiles.node, sampling.node, file.node),
  );

  // Which of them belong to the way

  const OF = {
    redraw: [loras.node, strength.node, steps.node.parentNode.parentNode, sampling.node],
    diffusion: [noise.node, freeSteps.node.parentNode.parentNode],
  };
  const AT_FAULT = { strength, steps, cfg, seed, blend: second, overlap: tiles, tile: tiles, noise_levels: noise };

  function show() {
    for (const part of parts) part.show();
    const { way: how, output } = state.settings;
    patch.text(hint, say(`upscale.way.${how}.hint`));
    const found = state.upscaler();
    const has = { none: !found, words: how === 'redraw' || (how === 'diffusion' && found?.words) };
    resampler.node.hidden = how !== 'resample';
    network.node.hidden = how === 'resample' || has.none;
    none.hidden = !has.none;
    if (has.none) patch.text(none, say(`upscale.none.${how}`));
    for (const [name, nodes] of Object.entries(OF)) for (const one of nodes) one.hidden = how !== name;
    words.node.hidden = !has.words;
    seedRow.hidden = !state.isPainted();
    tiles.node.hidden = how === 'resample' || how === 'diffusion';
    second.node.hidden = how === 'diffusion';
    noise.node.hidden = !state.hasNoise();
    const [tile, tileHint, side, overlap] = tiles.node.querySelector('.inside').children;
    tile.hidden = tileHint.hidden = found?.way === 'resampler';
    side.hidden = overlap.hidden = how !== 'redraw';
    file.node.querySelector('.inside').lastChild.hidden = output === 'png';
    patch.attribute(dice, 'aria-pressed', state.settings.fresh_seed);
    const fault = upscale.problem?.problem?.field ?? Easel.upscaleForecast.problem?.field;
    for (const [name, field] of Object.entries(AT_FAULT)) field.node.classList.toggle('at-fault', fault === name);
    size.node.classList.toggle('at-fault', ['factor', 'width', 'height'].includes(fault));
    network.node.classList.toggle('at-fault', fault === 'upscaler');
  }
  return { node, show };
};

/** At the foot: what it will cost, or why it cannot be, and the press. */
Easel.upscaleFoot = () => {
  const { make, patch, renew, say, upscale } = Easel;
  const state = Easel.upscaleState;
  const forecast = Easel.upscaleForecast;
  const reason = make('p', { class: 'reason', role: 'status', id: 'upscale-reason' });
  const costs = make('dl', { class: 'costs', 'aria-label': say('upscale.cost') });
  const label = make('span');
  const button = make(
    'button',
    {
      id: 'upscale-run',
      class: 'btn solid primary',
      'aria-describedby': 'upscale-reason',
      onclick: () => upscale.run(),
    },
    label,
    make('small', { class: 'hint' }, say('bar.keys')),
  );
  const node = make('div', { class: 'foot' }, make('div', { class: 'bar-foot' }, costs, reason, button));

  /** Why it cannot be pressed: { text, isBad }; null when it can. */
  function obstacle() {
    const of = (text, isBad = false) => ({ text, isBad });
    if (upscale.sample?.obstacle) return of(upscale.sample.obstacle);
    if (upscale.sample) return null;
    if (!Easel.live.connected) return of(say('disabled.connection'));
    const why = Easel.live.device?.problem?.problem;
    if (why) return of(why);
    if (upscale.obstacle()) return of(say(upscale.obstacle()));
    const { problem, fix } = forecast.problem ?? {};
    if (problem) return of([problem, fix].filter(Boolean).join('; '), true);
    if (state.settings.way === 'redraw' && !state.model()) return of(say('disabled.no_model'));
    return null;
  }

  function show() {
    const why = obstacle();
    patch.text(reason, why?.text ?? '');
    reason.classList.toggle('danger', Boolean(why?.isBad));
    reason.hidden = !why;
    button.disabled = Boolean(why) || upscale.isAsking;
    const count = Easel.upscaleFiles.ready().length;
    patch.text(label, count > 1 ? say('upscale.run_n', { n: count }) : say('upscale.run'));
    const facts = why ? [] : (upscale.sample?.costs ?? forecast.facts());
    costs.hidden = !facts.length;
    const pair = ([name, value]) => make('div', { 'data-key': name }, make('dt', {}, name), make('dd', {}, value));
    renew(costs, facts.map(pair));
    forecast.rest();
  }
  forecast.changed.on(show);
  Easel.live.news.device.on(show);
  Easel.live.news.connection.on(show);
  return { node, show };
};
