// Fields of the Upscale page that are more than a number: the size, the upscaler, the second one, noise, LoRAs.
Easel.upscaleSize = () => {
  const { make, patch, say, fields } = Easel;
  const state = Easel.upscaleState;
  const FACTORS = [2, 3, 4];
  const told = make('span', { class: 'sizes', role: 'status' });

  const press = (value, text, onclick, label = null) =>
    make('button', { type: 'button', 'data-value': value, 'aria-label': label, onclick }, text);
  const buttons = [
    ...FACTORS.map(n => press(n, `${n}×`, () => state.change({ by: 'factor', factor: n, is_own: false }))),
    press('own', say('upscale.own'), () => state.change({ by: 'factor', is_own: true })),
    press('size', say('upscale.by_size'), bySize, say('upscale.by_size.title')),
  ];
  const group = make('div', { class: 'seg wide', role: 'group', 'aria-label': say('field.size') }, buttons);

  const own = fields.slider({
    label: say('upscale.factor'),
    limits: { low: 0.1, high: 16, step: 0.05 },
    drag: { low: 0.5, high: 8, step: 0.25 },
    get: () => state.settings.factor,
    set: factor => state.change({ factor }),
  });
  const side = name =>
    make('input', {
      type: 'number',
      min: 1,
      max: 32768,
      step: 1,
      'data-side': name,
      'aria-label': say(`field.${name}`),
      placeholder: say('upscale.follows'),
      onchange: event => {
        const value = event.target.valueAsNumber;
        state.change({ [name]: Number.isFinite(value) ? Math.min(32768, Math.max(1, Math.round(value))) : null });
      },
    });
  const sides = ['width', 'height'].map(side);
  const frame = fields.segments({
    label: say('upscale.frame'),
    choices: ['crop', 'within', 'stretch'].map(value => [value, say(`upscale.frame.${value}`)]),
    get: () => state.settings.frame,
    set: value => state.change({ frame: value }),
  });
  const labelled = box => make('label', { class: 'mini' }, say(`field.${box.dataset.side}`), box);
  const exact = make(
    'div',
    { class: 'group exact' },
    make('div', { class: 'two' }, sides.map(labelled)),
    frame.node,
  );
  const node = make(
    'div',
    { class: 'group size' },
    make('div', { class: 'sub' }, make('span', {}, say('field.size')), told),
    group,
    own.node,
    exact,
  );

  /** Begins with what the factor came to. */
  function bySize() {
    const { settings, source } = state;
    const at = source && !settings.width && !settings.height ? state.target() : {};
    state.change({ by: 'size', ...at });
  }

  function show() {
    const { settings, source } = state;
    const isFactor = settings.by === 'factor';
    const isOwn = isFactor && (settings.is_own || !FACTORS.includes(settings.factor));
    const now = isFactor ? (isOwn ? 'own' : String(settings.factor)) : 'size';
    for (const button of buttons) patch.attribute(button, 'aria-pressed', button.dataset.value === now);
    own.node.hidden = !isOwn;
    exact.hidden = isFactor;
    own.show();
    frame.show();
    for (const box of sides)
      if (document.activeElement !== box) box.value = settings[box.dataset.side] ?? '';
    frame.node.hidden = !(settings.width && settings.height);
    const { width, height } = source && state.hasSize() ? state.target() : {};
    const before = source && `${source.width} × ${source.height}`;
    patch.text(told, width ? say('upscale.sizes', { before, after: `${width} × ${height}` }) : '');
  }
  return { node, show };
};

/** One of the upscalers there are, with what is known of each. */
Easel.upscalePicker = (id, label, { get, set, offered, none = null }) => {
  const { make, patch, say } = Easel;
  const node = make('div', { id: `upscale-${id}` });
  const props = { value: get(), choices: [], label, none, find: say('upscale.find') };
  const face = (button, choice) =>
    patch.text(button.firstChild, choice ? [choice.label, choice.note].filter(Boolean).join('  ·  ') : '');
  const showPicker = Easel.picker({ element: node, props, trigger: () => set(props.value), face });
  const note = ({ way, factor, detail, problem }) =>
    (problem ? [say('model.unusable')] : [way !== 'resampler' && factor > 1 && `${factor}×`, detail])
      .filter(Boolean)
      .join(' · ');

  let shown = '';
  function show() {
    const list = offered();
    const now = JSON.stringify([get(), list]);
    if (now === shown) return;
    shown = now;
    props.value = get();
    props.choices = list.map(one => ({
      name: one.name,
      label: Easel.upscaleName(one.name),
      group: say(`upscale.group.${one.way}`),
      note: note(one),
    }));
    showPicker();
  }
  return { node, show };
};

/** A second upscaler whose result is mixed in. */
Easel.upscaleSecond = () => {
  const { say, fields } = Easel;
  const state = Easel.upscaleState;
  const picker = Easel.upscalePicker('second', say('upscale.second'), {
    get: () => state.settings.second,
    set: second => state.change({ second }),
    offered: () => state.choices('redraw').filter(one => one.name !== state.upscaler()?.name),
    none: say('canvas.none'),
  });
  const share = fields.slider({
    label: say('upscale.blend'),
    limits: { low: 0, high: 100, step: 1 },
    get: () => Math.round(state.settings.blend * 100),
    set: value => state.change({ blend: value / 100 }),
  });
  const isOn = () => state.settings.second && state.settings.second !== state.upscaler()?.name;
  function now() {
    const { second, blend } = state.settings;
    return isOn() ? `${Easel.upscaleName(second)} ${Math.round(blend * 100)} %` : say('canvas.none');
  }
  const fold = fields.fold({
    id: 'upscale-second-fold',
    label: () => `${say('upscale.second.mix')} · ${now()}`,
    fields: [picker, share],
  });
  return {
    node: fold.node,
    show() {
      fold.show();
      share.node.hidden = !isOn();
    },
  };
};

/** How much noise a diffusion upscaler is given; or several levels at once, to choose from. */
Easel.upscaleNoise = () => {
  const { make, patch, say, fields } = Easel;
  const state = Easel.upscaleState;
  const noise = fields.slider({
    label: say('upscale.noise'),
    limits: { low: 0, high: 350, step: 1 },
    get: () => state.settings.noise,
    set: value => state.change({ noise: value }),
  });
  const several = fields.toggle({
    label: say('upscale.several'),
    get: () => state.settings.tries_several,
    set: value => state.change({ tries_several: value }),
  });
  const list = make('input', {
    type: 'text',
    inputmode: 'numeric',
    'aria-label': say('upscale.levels'),
    onchange: () => {
      const numbers = list.value.split(/[^\d]+/).filter(Boolean).map(text => Math.min(350, Number(text)));
      if (numbers.length) state.change({ levels: [...new Set(numbers)].slice(0, 8) });
      show();
    },
  });
  const levels = make('label', { class: 'mini' }, say('upscale.levels'), list);
  const hint = make('p', { class: 'quiet' });
  const node = make('div', { class: 'group' }, noise.node, several.node, levels, hint);

  function show() {
    const { tries_several: isOn, levels: now } = state.settings;
    noise.show();
    several.show();
    noise.node.hidden = isOn;
    levels.hidden = !isOn;
    if (document.activeElement !== list) list.value = now.join(', ');
    patch.text(hint, say(isOn ? 'upscale.several.hint' : 'upscale.noise.hint'));
  }
  return { node, show };
};

/** What the model paints at; 0 is its own size, and shown as that. */
Easel.upscaleSideField = () => {
  const state = Easel.upscaleState;
  return Easel.fields.slider({
    label: Easel.say('upscale.side'),
    limits: { low: 64, high: 2048, step: 8 },
    drag: { low: 64, high: 1024, step: 64 },
    get: () => state.settings.side || state.native(),
    set: side => state.change({ side: side === state.native() ? 0 : side }),
  });
};

Easel.upscaleLoras = () => {
  const { make, say } = Easel;
  const state = Easel.upscaleState;
  const addBox = make('div', { id: 'upscale-add-lora' });
  const rowsBox = make('div', {});
  const addWords = { label: say('field.loras'), none: say('loras.add'), find: say('loras.find') };
  const addProps = { value: '', choices: [], ...addWords };
  const rowProps = { value: state.settings.loras };
  const showRows = Easel.loraRows({
    element: rowsBox,
    props: rowProps,
    trigger: () => state.change({ loras: rowProps.value }),
  });
  const showAdd = Easel.picker({
    element: addBox,
    props: addProps,
    trigger: () => {
      state.change({ loras: Easel.addLora(addProps.value, state.settings.loras)[1] });
      addProps.value = '';
    },
  });
  function show() {
    const known = Easel.models.list.filter(one => one.kind === 'lora' && !one.hidden && !one.problem);
    addProps.choices = known.map(one => ({ name: one.name, group: one.family ?? '', note: '' }));
    showAdd();
    if (rowProps.value === state.settings.loras) return;
    rowProps.value = state.settings.loras;
    showRows();
  }
  return { node: make('div', { class: 'loras' }, addBox, rowsBox), show };
};
