// Beside the canvas: the words, where and how much is painted over, and the press of Repaint.
Easel.canvasSide = () => {
  const { make, icon, patch, say, fields, canvas, repaint } = Easel;
  const { settings: FIRST } = canvas;
  const setting = name => ({ get: () => canvas.settings[name], set: value => canvas.change({ [name]: value }) });
  const choices = (key, values) => values.map(value => [value, say(`${key}.${value}`)]);
  const limits = (low, high, step) => ({ low, high, step });

  // Words

  const words = fields.prompts({ label: say('canvas.prompt'), rows: 3, setting });

  // LoRAs

  const addWords = { label: say('field.loras'), none: say('loras.add'), find: say('loras.find') };
  const addProps = { value: '', choices: [], ...addWords };
  const addBox = make('div', { id: 'canvas-add-lora' });
  const rowsBox = make('div', {});
  const rowProps = { value: FIRST.loras };
  const showRows = Easel.loraRows({
    element: rowsBox,
    props: rowProps,
    trigger: () => canvas.change({ loras: rowProps.value }),
  });
  const showAdd = Easel.picker({
    element: addBox,
    props: addProps,
    trigger: () => {
      canvas.change({ loras: Easel.addLora(addProps.value, canvas.settings.loras)[1] });
      addProps.value = '';
    },
  });

  function showLoras() {
    const known = Easel.models.list.filter(one => one.kind === 'lora' && !one.hidden && !one.problem);
    addProps.choices = known.map(one => ({ name: one.name, group: one.family ?? '', note: '' }));
    showAdd();
    if (rowProps.value === canvas.settings.loras) return;
    rowProps.value = canvas.settings.loras;
    showRows();
  }

  // Where and how much

  const scope = fields.segments({
    label: say('canvas.scope'),
    choices: choices('canvas.scope', ['painted', 'else', 'all']),
    ...setting('scope'),
  });
  const content = fields.segments({
    label: say('canvas.content'),
    choices: choices('canvas.content', ['original', 'fill', 'noise', 'nothing']),
    ...setting('content'),
  });
  const strength = fields.slider({
    label: say('canvas.denoise'),
    limits: limits(0, 1, 0.01),
    id: 'canvas-strength',
    ...setting('strength'),
  });
  const softEdge = fields.slider({
    label: say('canvas.soft_edge'),
    limits: limits(0, 512, 1),
    drag: limits(0, 64, 1),
    ...setting('soft_edge'),
  });
  const steps = fields.slider({
    label: say('field.steps'),
    limits: limits(1, 1000, 1),
    drag: limits(1, 60, 1),
    ...setting('steps'),
  });
  const cfg = fields.slider({
    label: say('field.cfg'),
    limits: limits(0, 30, 0.1),
    drag: limits(0, 15, 0.5),
    ...setting('cfg'),
  });

  // Seed

  const seed = fields.box({
    label: say('field.seed'),
    limits: limits(0, 2 ** 32 - 1, 1),
    get: () => canvas.settings.seed,
    set: value => canvas.change({ seed: value, fresh_seed: false }),
  });
  seed.node.id = 'canvas-seed';
  const dice = make(
    'button',
    {
      class: 'btn sq',
      'aria-label': say('seed.fresh'),
      title: say('seed.fresh'),
      onclick: () => canvas.change({ fresh_seed: !canvas.settings.fresh_seed }),
    },
    icon('dice'),
  );

  // Folded away

  const on = value => say(value ? 'canvas.on' : 'canvas.off');
  const detail = fields.fold({
    id: 'canvas-detail',
    label: () => `${say('canvas.detail')} · ${on(canvas.settings.area === 'masked')}`,
    fields: [
      fields.segments({
        label: say('canvas.area'),
        choices: choices('canvas.area', ['masked', 'whole']),
        ...setting('area'),
      }),
      fields.slider({
        label: say('canvas.padding'),
        limits: limits(0, 4096, 1),
        drag: limits(0, 256, 1),
        ...setting('padding'),
      }),
      workSide(),
      fields.toggle({ label: say('canvas.match_colour'), ...setting('match_colour') }),
    ],
  });

  /** What the network works at; 0 is the model's own, and shown as that. */
  function workSide() {
    const box = fields.slider({
      label: say('canvas.side'),
      limits: limits(64, 4096, 8),
      drag: limits(64, 1024, 8),
      get: () => canvas.settings.side || repaint.native(),
      set: side => canvas.change({ side: side === repaint.native() ? 0 : side }),
    });
    return box;
  }

  const border = ['left', 'top', 'right', 'bottom'].map(side =>
    fields.box({
      label: say(`canvas.${side}`),
      limits: limits(0, 8192, 1),
      get: () => canvas.settings.border[side],
      set: value => canvas.change({ border: { ...canvas.settings.border, [side]: value } }),
    }),
  );
  const byShare = share => () => {
    const { width = 0, height = 0 } = canvas.node?.source ?? {};
    const [wide, high] = [Math.round(width * share), Math.round(height * share)];
    canvas.change({ border: { left: wide, top: high, right: wide, bottom: high } });
  };
  const extend = fields.fold({
    id: 'canvas-extend',
    label: () => `${say('canvas.extend')} · ${extension()}`,
    fields: [
      make('div', { class: 'minis four' }, border.map(one => one.node)),
      make(
        'div',
        { class: 'acts' },
        [0.25, 0.5, 1].map(share => make('button', { class: 'btn', onclick: byShare(share) }, `+${share * 100} %`)),
        make('button', { class: 'btn', onclick: byShare(0) }, say('canvas.extend.none')),
      ),
      make('p', { class: 'quiet' }, say('canvas.extend.hint')),
      { node: make('span'), show: () => border.forEach(one => one.show()) },
    ],
  });

  function extension() {
    if (!canvas.node || !canvas.hasBorder()) return say('canvas.off');
    const { width, height } = repaint.sides();
    return `${width} × ${height}`;
  }

  const fit = fields.segments({
    label: say('canvas.fit_how'),
    choices: choices('canvas.fit_how', ['stretch', 'crop', 'fill', 'latent']),
    ...setting('fit'),
  });
  const sampling = fields.fold({
    id: 'canvas-sampling',
    label: () => ['sampler', 'schedule'].map(name => Easel.names[name][canvas.settings[name]]).join(' · '),
    fields: [
      ...['sampler', 'schedule'].map(name =>
        fields.select({ label: say(`field.${name}`), choices: Object.entries(Easel.names[name]), ...setting(name) }),
      ),
      fields.slider({ label: say('field.clip_skip'), limits: limits(1, 12, 1), ...setting('clip_skip') }),
    ],
  });
  const masks = Easel.canvasMasks();
  const batch = Easel.canvasBatch();
  const promise = make('p', { class: 'quiet promise' }, say('canvas.promise'));

  const AT_FAULT = { strength, steps, cfg, seed, soft_edge: softEdge };
  const parts = [words, scope, content, strength, softEdge, steps, cfg, seed, fit, masks, detail, extend];
  parts.push(sampling, batch);
  const node = make(
    'div',
    { class: 'scroll' },
    words.node,
    make('div', { class: 'loras' }, addBox, rowsBox),
    scope.node,
    fit.node,
    content.node,
    strength.node,
    softEdge.node,
    make('div', { class: 'two' }, steps.node, cfg.node),
    make('div', { class: 'seedrow' }, seed.node, dice),
    make('div', { class: 'folds' }, masks.node, detail.node, extend.node, sampling.node, batch.node),
    promise,
  );

  // The foot

  const COUNTS = [1, 2, 4, 8];
  const counts = make(
    'div',
    { class: 'seg', role: 'group', 'aria-label': say('bar.count') },
    COUNTS.map(n => make('button', { 'data-n': n, onclick: () => canvas.change({ count: n }) }, String(n))),
  );
  const reason = make('p', { class: 'reason', role: 'status' });
  const label = make('span');
  const button = make(
    'button',
    { id: 'repaint', class: 'btn solid primary', onclick: () => repaint.run() },
    label,
    make('small', { class: 'hint' }, say('bar.keys')),
  );
  const forecast = Easel.forecast(() => {
    if (!canvas.node) return null;
    const { count, cfg } = canvas.settings;
    return { ...repaint.workSize(), count, cfg, batch_size: 1, model: Easel.form.values.model };
  });
  const bar = make('div', { class: 'bar-foot' }, reason, counts, button, forecast.node);
  const foot = make('div', { class: 'foot' }, bar);

  /** Why Repaint cannot be pressed, in words; empty when it can. */
  function obstacle() {
    if (repaint.sample?.obstacle) return repaint.sample.obstacle;
    if (!Easel.models.list.some(Easel.models.paints) && Easel.models.list.length) return say('disabled.no_model');
    if (!Easel.live.connected) return say('disabled.connection');
    const why = Easel.live.device?.problem?.problem;
    return why ?? (repaint.obstacle() ? say(repaint.obstacle()) : '');
  }

  function show() {
    for (const part of parts) part.show();
    showLoras();
    const isAll = !canvas.isMasked();
    softEdge.node.hidden = promise.hidden = masks.node.hidden = detail.node.hidden = extend.node.hidden = isAll;
    content.node.hidden = isAll;
    fit.node.hidden = !isAll;
    for (const [name, field] of Object.entries(AT_FAULT))
      field.node.classList.toggle('at-fault', repaint.problem?.problem?.field === name);
    patch.attribute(dice, 'aria-pressed', canvas.settings.fresh_seed);
    const why = obstacle();
    patch.text(reason, why);
    reason.hidden = !why;
    button.disabled = Boolean(why) || repaint.isAsking;
    const { count } = canvas.settings;
    patch.text(label, count === 1 ? say('canvas.repaint') : say('canvas.repaint_n', { n: count }));
    for (const one of counts.children) patch.attribute(one, 'aria-pressed', Number(one.dataset.n) === count);
    forecast.rest();
  }

  Easel.live.news.device.on(show);
  Easel.live.news.connection.on(show);
  Easel.models.changed.on(show);
  return { node, foot, show };
};

/** Places with words and a strength of their own, painted in the same run. */
Easel.canvasMasks = () => {
  const { make, icon, patch, renew, say, fields, canvas } = Easel;
  const row = make('div', { class: 'mask-chips', role: 'group', 'aria-label': say('canvas.masks') });
  const own = make('div', { class: 'mask-own' });
  const back = make(
    'p',
    { class: 'quiet', role: 'status' },
    say('canvas.mask_removed'),
    ' ',
    make('button', { class: 'linklike', onclick: canvas.undo }, say('canvas.bring_back')),
  );
  let shown = null, // key of the place whose fields stand there
    parts = [];

  function build(key) {
    shown = key;
    const region = () => canvas.node?.regions.find(one => one.key === key);
    const bound = name => ({
      get: () => region()?.[name] ?? '',
      set: value => canvas.changeRegion(key, { [name]: value }),
    });
    parts = [
      fields.text({ label: say('canvas.mask_prompt'), rows: 2, ...bound('prompt') }),
      fields.text({ label: say('field.negative_prompt'), rows: 1, ...bound('negative_prompt') }),
      fields.slider({
        label: say('canvas.mask_strength'),
        limits: { low: 0, high: 1, step: 0.05 },
        get: () => region()?.strength ?? 1,
        set: value => canvas.changeRegion(key, { strength: value }),
      }),
    ];
    own.replaceChildren(
      ...parts.map(part => part.node),
      make(
        'button',
        { class: 'btn', onclick: () => canvas.removeRegion(key) },
        icon('trash'),
        say('canvas.remove_mask'),
      ),
    );
  }

  const inside = {
    node: make('div', {}, row, own, back, make('p', { class: 'quiet' }, say('canvas.masks.hint'))),
    show() {
      const layers = canvas.node ? canvas.layers() : [];
      renew(
        row,
        layers.map(({ key }, k) =>
          make(
            'button',
            {
              class: 'chip',
              'data-key': key,
              '--dot': `var(--mask-${(k % 4) + 1})`,
              'aria-pressed': key === canvas.active,
              onclick: () => canvas.activate(key),
            },
            make('i', { class: 'dot' }),
            say(k ? 'canvas.mask_n' : 'canvas.mask_main', { n: k + 1 }),
          ),
        ),
        canvas.node &&
          layers.length < 16 &&
          make(
            'button',
            { class: 'chip', 'data-key': 'add', onclick: canvas.addRegion },
            icon('plus'),
            say('canvas.add_mask'),
          ),
      );
      const key = canvas.active === canvas.MAIN ? null : canvas.active;
      if (key !== shown && key) build(key);
      shown = key;
      own.hidden = !key;
      back.hidden = !canvas.hasJustRemoved();
      for (const part of key ? parts : []) part.show();
    },
  };
  const fold = fields.fold({
    id: 'canvas-masks',
    label: () => `${say('canvas.masks')} · ${canvas.node?.regions.length || say('canvas.none')}`,
    fields: [inside],
  });
  return fold;
};
