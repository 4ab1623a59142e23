// Above the faders: the models, the method with its settings, the curve, and what is done to all weights at once.
Easel.deskModels = () => {
  const { make, icon, patch, say } = Easel;
  const { desk, models } = Easel;
  const node = make('div', { class: 'models3' });
  let cards = [],
    built = '';

  const letter = k => String.fromCharCode(65 + k);

  /** Places there are: as many as are chosen, and one more where the method takes it. */
  function places() {
    const how = desk.method();
    const chosen = desk.state.models.filter(Boolean).length;
    const most = how?.high ?? 8;
    return Math.max(how?.low ?? 2, Math.min(chosen + 1, most));
  }

  function build() {
    const how = desk.method();
    const count = places();
    const now = JSON.stringify([count, how?.needs_base, how?.low]);
    if (now === built) return;
    built = now;
    cards = Array.from({ length: count }, (_, k) => card(k, how, count));
    const plus = () => make('span', { class: 'plus' }, '+');
    node.replaceChildren(...cards.flatMap((one, k) => (k ? [plus(), one.box] : [one.box])));
  }

  function card(k, how, count) {
    const label = say(k < how.low ? 'desk.model' : 'desk.model.optional', { letter: letter(k) });
    const props = { value: '', choices: [], label, bare: true, none: k < how.low ? '' : say('desk.model.none') };
    const box = make('div', { class: 'mslot', id: `desk-model-${k}` });
    const isBase = how.needs_base && k === count - 1 && k >= how.low - 1;
    const show = Easel.picker({
      element: box,
      props,
      trigger: () => choose(k, props.value),
      face: button => face(button, k, props, isBase),
    });
    return { box, props, show };
  }

  function choose(k, name) {
    const list = [...desk.state.models];
    list[k] = name;
    desk.change({ models: list.filter((one, n) => one || n < k) });
  }

  function face(button, k, props, isBase) {
    const info = desk.model(props.value);
    button.classList.add('mcard');
    button.classList.toggle('add', !props.value);
    if (!props.value) {
      button.replaceChildren(icon('plus'), make('span', {}, props.label));
      return;
    }
    const role = isBase ? say('desk.base') : '';
    button.replaceChildren(
      info?.picture
        ? make('img', { src: info.picture, alt: '' })
        : make('span', { class: 'noface' }, icon('models', 24)),
      make(
        'span',
        { class: 'grow' },
        make('b', { dir: 'auto' }, make('i', {}, letter(k)), props.value),
        make('small', {}, info ? [info.family, info.dtype, models.size(info.size)].filter(Boolean).join(' · ') : ''),
        make('small', { class: info ? '' : 'danger' }, line(info, role)),
      ),
    );
  }

  function line(info, role) {
    if (!info) return say('desk.model.gone');
    const from = info.starter ? say('models.starter') : info.detail;
    return [role, from].filter(Boolean).join(' · ');
  }

  function show() {
    if (!desk.offers) return;
    build();
    const choices = desk.checkpoints().map(one => ({ name: one.name, group: one.family ?? '', note: one.dtype }));
    cards.forEach(({ props, show: draw }, k) => {
      props.value = desk.state.models[k] ?? '';
      props.choices = choices;
      draw();
    });
  }

  desk.changed.on(show);
  models.changed.on(show);
  return { node, show };
};

Easel.deskBar = () => {
  const { make, icon, patch, say } = Easel;
  const { desk } = Easel;

  // The method

  const method = select('desk.method', value => desk.change({ method: value }));
  const meaning = make('p', { class: 'quiet meaning' });
  const settings = make('div', { class: 'settings' });

  function select(key, take) {
    const box = make('select', { onchange: event => take(event.target.value) });
    return { box, node: make('label', { class: 'inline' }, say(key), make('span', { class: 'select' }, box)) };
  }

  /** In groups by how many models they take. */
  function methodsBySize() {
    const sizes = {
      'desk.methods.one': one => one.high === 1,
      'desk.methods.two': one => one.low === 2 && one.high === 2,
      'desk.methods.three': one => one.low === 3 && one.high === 3,
      'desk.methods.any': one => one.high !== one.low,
    };
    return Object.entries(sizes).map(([word, fits]) =>
      make(
        'optgroup',
        { label: say(word) },
        desk.offers.methods.filter(fits).map(one => make('option', { value: one.key }, one.label)),
      ),
    );
  }

  /** The numbers that are the same for all blocks. */
  function drawSettings() {
    const how = desk.method();
    const shared = how.parameters.filter(one => !one.by_block);
    Easel.renew(
      settings,
      shared.map(one =>
        make(
          'label',
          { class: 'inline', 'data-key': `${how.key} ${one.key}`, title: one.meaning },
          one.label,
          make('input', {
            type: 'text',
            inputmode: 'decimal',
            value: text(desk.plain(one)),
            'aria-label': `${one.label}: ${one.meaning}`,
            onchange: event => take(one, event.target),
          }),
        ),
      ),
    );
    for (const box of settings.querySelectorAll('input')) {
      const one = shared.find(parameter => `${how.key} ${parameter.key}` === box.parentElement.dataset.key);
      if (one && document.activeElement !== box) box.value = text(desk.plain(one));
    }
  }

  const text = value => (Array.isArray(value) ? value.join(', ') : String(value));

  function take(parameter, box) {
    const numbers = box.value.split(/[,;\s]+/).filter(Boolean).map(Number);
    const isFine = numbers.length && numbers.every(Number.isFinite) && (parameter.per_model || numbers.length === 1);
    if (isFine) {
      const value = numbers.length > 1 ? numbers : numbers[0];
      desk.change({ parameters: { ...desk.state.parameters, [parameter.key]: value } });
    } else box.value = text(desk.plain(parameter));
  }

  // The curve

  const curve = select('desk.curve', choosePreset);

  const presets = () => desk.offers.presets.filter(one => one[desk.layout()].length);
  const first = () => desk.byBlock()[0];

  function choosePreset(name) {
    const preset = presets().find(one => one.name === name);
    if (preset && first()) desk.setWeights(first().key, preset[desk.layout()], { about: `preset ${name}` });
  }

  const present = () => {
    if (!first()) return null;
    const now = desk.weights(first());
    return presets().find(one => one[desk.layout()].every((value, k) => Math.abs(value - now[k]) < 5e-4)) ?? null;
  };

  function drawCurves() {
    const here = present();
    const option = one => make('option', { value: one.name }, one.name);
    const own = presets().filter(one => one.own);
    const others = presets().filter(one => !one.own);
    curve.box.replaceChildren(
      make('option', { value: '' }, say('desk.curve.own')),
      ...(own.length ? [make('optgroup', { label: say('preset.own') }, own.map(option))] : []),
      make('optgroup', { label: say('preset.factory') }, others.map(option)),
    );
    curve.box.value = here?.name ?? '';
    drop.hidden = !here?.own;
  }

  // Curves of one's own

  const keep = button('keep', 'desk.curve.keep', () => ask(true));
  const drop = button('trash', 'desk.curve.drop', dropPreset);
  const name = make('input', {
    type: 'text',
    maxlength: 60,
    placeholder: say('preset.name'),
    'aria-label': say('preset.name'),
    onkeydown: event => {
      if (event.key === 'Enter') savePreset();
      if (event.key === 'Escape') {
        event.stopPropagation();
        ask(false);
      }
    },
  });
  const said = make('p', { class: 'reason danger', role: 'alert', hidden: true });
  const naming = make(
    'div',
    { class: 'naming', hidden: true, 'data-esc': '' },
    name,
    make('button', { class: 'btn', onclick: savePreset }, say('preset.save')),
    make('button', { class: 'btn', onclick: () => ask(false) }, say('preset.cancel')),
    said,
  );

  function ask(isAsking) {
    naming.hidden = !isAsking;
    said.hidden = true;
    if (isAsking) name.focus();
    else keep.focus();
  }

  async function savePreset() {
    const wanted = name.value.trim();
    if (!wanted || !first()) {
      patch.text(said, say('desk.curve.unnamed'));
      said.hidden = false;
      return name.focus();
    }
    const old = desk.offers.presets.find(one => one.own && one.name.toLowerCase() === wanted.toLowerCase());
    await tell(
      { method: 'PUT', body: { name: wanted, weights: desk.weights(first()), version: old?.version ?? null } },
      '',
    );
    if (said.hidden) ask(false);
  }

  function dropPreset() {
    return tell({ method: 'DELETE' }, `/${encodeURIComponent(curve.box.value)}`);
  }

  async function tell({ method: verb, body }, path) {
    said.hidden = true;
    try {
      const how = { ...desk.post(body ?? {}), method: verb };
      desk.offers.presets = await Easel.ask(`api/desk/presets${path}`, how);
      drawCurves();
    } catch (error) {
      patch.text(said, `${error.problem ?? error.message}; ${error.fix ?? ''}`);
      naming.hidden = said.hidden = false;
    }
  }

  // What is done to all weights at once

  function button(iconName, key, onclick) {
    return make('button', { class: 'btn sq', title: say(key), 'aria-label': say(key), onclick }, icon(iconName));
  }

  const overall = make('span', { class: 'quiet overall', title: say('desk.overall.title') });
  const undo = button('undo', 'desk.undo', desk.undo);
  const redo = button('redo', 'desk.redo', desk.redo);
  const swap = button('swap', 'desk.swap', swapModels);
  const slots = make(
    'div',
    { class: 'seg', role: 'group', 'aria-label': say('desk.slots') },
    [0, 1].map(k =>
      make('button', { title: say('desk.slot', { n: k + 1 }), onclick: () => desk.flip(k) }, String(k + 1)),
    ),
  );
  const menu = Easel.weightMenu();

  function swapModels() {
    const [a, b, ...rest] = desk.state.models;
    desk.change({ models: [b, a, ...rest] });
  }

  function show() {
    if (!desk.offers) return;
    if (!method.box.length) method.box.append(...methodsBySize());
    method.box.value = desk.state.method;
    const how = desk.method();
    patch.text(meaning, `${how.meaning} ${how.formula}`);
    drawSettings();
    drawCurves();
    const isByBlock = Boolean(first());
    curve.node.hidden = keep.hidden = !isByBlock;
    menu.button.disabled = !isByBlock;
    const now = isByBlock ? desk.weights(first()) : [];
    const share = Math.round((100 * now.reduce((sum, value) => sum + value, 0)) / now.length);
    const what = how.low === 2 && !how.needs_base ? 'B' : first()?.label;
    patch.text(overall, isByBlock ? say('desk.overall', { share, what }) : '');
    undo.disabled = !desk.canUndo;
    redo.disabled = !desk.canRedo;
    swap.disabled = desk.state.models.filter(Boolean).length < 2;
    for (const [k, one] of [...slots.children].entries()) patch.attribute(one, 'aria-pressed', k === desk.slot);
  }

  const node = make(
    'div',
    { class: 'deskbar' },
    make(
      'div',
      { class: 'bar-row' },
      method.node,
      curve.node,
      keep,
      drop,
      make('span', { class: 'grow' }),
      overall,
      slots,
      undo,
      redo,
      swap,
      menu.button,
    ),
    naming,
    make('div', { class: 'bar-row thin' }, meaning, settings),
    menu.node,
  );
  desk.changed.on(show);
  return { node, show };
};
