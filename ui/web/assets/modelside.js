// Beside the cards: what is known of the chosen model, and everything that can be done to it.
Easel.modelSide = ({ onChoose }) => {
  const { make, icon, patch, renew, say } = Easel;
  const { models } = Easel;
  const body = make('div', { class: 'scroll', tabindex: -1 });
  const foot = make('div', { class: 'foot' });
  const node = make(
    'aside',
    { class: 'model-side', hidden: true, 'aria-label': say('models.details'), onkeydown: keys },
    body,
    foot,
  );
  let model = null, // as its card shows it
    detail = null, // all that is known
    asked = '', // what the question is about: `models.rename`, `models.convert`, `models.trash`
    question = null, // in the place of the acts; it stays as it is until it is answered
    said = null; // what became of the last act { problem, fix } or { text }
  const running = new Set(); // the buttons whose request is under way

  function show(next) {
    const isOther = next?.name !== model?.name;
    model = next;
    node.hidden = !model;
    if (isOther) {
      question = null;
      said = null;
      know(null);
    }
    if (!model) return;
    if (!detail) look();
    draw();
  }

  async function look() {
    const { name } = model;
    try {
      const known = await models.detail(name);
      if (model?.name === name) know(known);
    } catch (error) {
      said = error;
    }
    draw();
  }

  /** Takes what is known (null: not yet); of the boxes, those that `about` names are filled from it. */
  function know(known, about = { notes, tags }) {
    detail = known;
    notes.disabled = tags.disabled = !known;
    if ('notes' in about) fill(notes, known?.notes ?? '');
    if ('tags' in about) fill(tags, (known?.tags ?? []).join(', '));
  }

  /** Where somebody is typing, the text stays. */
  function fill(box, text) {
    if (box !== document.activeElement || !detail) box.value = text;
  }

  /** Does something and says what became of it. */
  async function act(doing, text = null) {
    said = null;
    try {
      await doing();
      if (text) said = { text };
    } catch (error) {
      said = error;
    }
    draw();
  }

  const ask = kind => act(() => models.request({ kind, model: model.name }));

  const button = (key, doing, iconName, { id = key, ...more } = {}) =>
    make(
      'button',
      {
        class: 'btn',
        'data-key': id,
        'aria-disabled': running.has(id) || null,
        onclick: event => once(id, event.currentTarget, doing),
        ...more,
      },
      iconName && icon(iconName),
      say(key),
    );

  /** A second press does nothing until the first is answered. */
  async function once(id, pressed, doing) {
    if (running.has(id)) return;
    running.add(id);
    pressed.setAttribute('aria-disabled', true);
    await doing();
    running.delete(id);
    pressed.removeAttribute('aria-disabled');
  }

  const row = (key, value) =>
    value ? [make('dt', {}, say(key)), make('dd', { dir: 'auto', title: String(value) }, String(value))] : [];

  function facts() {
    const hashes = detail?.hashes;
    return make(
      'dl',
      {},
      row('models.kind', models.kindLine(model)),
      row('models.family', model.family),
      row('models.task', model.task === 'text to image' ? null : model.task),
      row('models.size', models.size(model.size)),
      row('field.precision', model.dtype),
      row('models.native', model.native_size ? `${model.native_size} × ${model.native_size}` : null),
      row('models.prediction', model.prediction),
      row('models.triggers', (detail?.triggers ?? []).join(', ')),
      row('models.file', detail?.file),
      row('models.hash', hashes && `${hashes.short} · AutoV3 ${hashes.auto_v3}`),
    );
  }

  const note = what =>
    act(async () => {
      const known = await models.note(model.name, what);
      if (model?.name === known.name) know(known, what);
      await models.refresh();
    });

  const notes = make('textarea', {
    rows: 3,
    'aria-label': say('models.notes'),
    placeholder: say('models.notes.hint'),
    onchange: () => note({ notes: notes.value }),
  });
  const tags = make('input', {
    type: 'text',
    'aria-label': say('models.tags'),
    placeholder: say('models.tags.hint'),
    onchange: () => note({ tags: tags.value.split(',') }),
  });
  const own = make('div', { class: 'own' }, tags, notes);

  const toggle = (field, key, iconName) =>
    button(key, () => note({ [field]: !model[field] }), iconName, { 'aria-pressed': Boolean(model[field]) });

  function acts() {
    const isPickle = model.problem && detail && ['ckpt', 'pt', 'pth', 'bin', 'safetensors'].includes(detail.form);
    const loads = models.paints(model);
    return make(
      'div',
      { class: 'model-acts', 'data-key': 'acts', tabindex: -1 },
      loads && !models.inMemory(model) && button('models.load', () => ask('load')),
      models.inMemory(model) && button('models.unload', () => ask('unload')),
      loads && !model.default && button('models.default', () => act(() => models.choose(model.name))),
      detail?.mixed && button('models.desk', () => act(() => Easel.mixing.openRecipe({ model: model.name }))),
      !model.problem && button('models.verify', () => ask('verify')),
      (!model.problem || isPickle) && button('models.convert', () => inquire('models.convert')),
      model.problem && button('models.again', () => act(models.scan)),
      detail?.at_hand && button('models.reveal', () => act(() => models.reveal(model.name).then(() => ''))),
      !model.starter && button('models.rename', () => inquire('models.rename')),
      toggle('favourite', 'models.favourite', 'keep'),
      toggle('hidden', 'models.hide'),
      !model.starter && button('models.trash', () => inquire('models.trash'), 'trash'),
    );
  }

  /** Asks in the place of the acts; the first thing to answer has the focus. */
  function inquire(about) {
    asked = about;
    said = null;
    question = make('div', { class: 'ask', 'data-esc': '' }, QUESTIONS[about]());
    draw();
    const first = question.querySelector('input') ?? question.querySelector('[data-key="preset.cancel"]');
    first.focus();
    first.select?.();
  }

  /** The acts are back, with the focus where the question came from. */
  function dismiss() {
    question = null;
    said = null;
    draw();
    body.querySelector(`[data-key="${asked}"]`)?.focus();
  }

  function keys(event) {
    if (event.isComposing || !question?.contains(event.target)) return;
    if (event.key === 'Escape') dismiss();
    else if (event.key === 'Enter' && event.target.type === 'text')
      question.querySelector('[data-key="answer"]').click();
    else return;
    event.preventDefault();
  }

  const answers = (doing, more = {}) =>
    make(
      'div',
      { class: 'row' },
      button(asked, () => act(doing), null, { id: 'answer', ...more }),
      button('preset.cancel', dismiss),
    );
  const nameBox = () => make('input', { type: 'text', maxlength: 240, 'aria-label': say('models.name') });

  function renaming() {
    const name = nameBox();
    name.value = model.name;
    return [name, answers(() => models.rename(model, name.value).then(dismiss))];
  }

  function converting() {
    const name = nameBox();
    const numbers = make(
      'select',
      { 'aria-label': say('field.precision') },
      make('option', { value: '' }, say('models.as_is')),
      ['fp16', 'bf16', 'fp32', 'fp8'].map(word => make('option', { value: word }, word)),
    );
    const pruned = make('input', { type: 'checkbox' });
    const folder = make('input', { type: 'checkbox' });
    name.value = `${model.name.split('/').at(-1)}-copy`;
    const go = async () => {
      await models.request({
        kind: 'convert',
        model: model.name,
        name: name.value,
        dtype: numbers.value || null,
        pruned: pruned.checked,
        as_folder: folder.checked,
      });
      dismiss();
    };
    return [
      make('p', { class: 'quiet' }, say('models.convert.hint')),
      name,
      make('label', { class: 'select' }, numbers),
      make('label', { class: 'tick' }, pruned, say('models.pruned')),
      make('label', { class: 'tick' }, folder, say('models.as_folder')),
      answers(go),
    ];
  }

  const trashing = () => [
    make('p', {}, say('models.trash.ask', { name: model.name })),
    answers(() => models.trash(model), { class: 'btn danger' }),
  ];

  const QUESTIONS = { 'models.rename': renaming, 'models.convert': converting, 'models.trash': trashing };

  function outcome() {
    const busy = models.workOn(model.name);
    if (busy)
      return make(
        'div',
        { class: 'work', 'data-key': 'work', role: 'status', '--p': `${busy.share * 100}%` },
        make('span', {}, [busy.title, busy.line].filter(Boolean).join(' · ')),
        make('i', {}),
      );
    if (said?.text) return make('p', { class: 'reason', role: 'status' }, said.text);
    if (!said) return null;
    const text = [said.problem ?? said.message, said.fix].filter(Boolean).join('; ');
    return make('p', { class: 'reason danger', role: 'alert' }, text);
  }

  function draw() {
    if (!model) return;
    renew(
      body,
      make('header', { 'data-key': 'head' }, make('h3', { dir: 'auto' }, model.name), closing()),
      model.problem && make('p', { class: 'reason danger' }, `${model.problem.problem}; ${model.problem.fix}`),
      detail?.description && make('p', { class: 'told', dir: 'auto' }, detail.description),
      facts(),
      detail?.mixed && Easel.lineage(detail.mixed),
      own,
      question ?? acts(),
      outcome(),
    );
    const isInUse = Easel.form.values.model === model.name;
    const paints = models.paints(model);
    renew(
      foot,
      make(
        'button',
        { class: 'btn solid', 'data-key': 'use', disabled: !paints, onclick: use },
        say(isInUse ? 'models.in_use' : 'models.use'),
      ),
      !paints && make('p', { class: 'reason' }, say(model.problem ? 'models.unusable' : 'models.no_painter')),
    );
  }

  const closing = () =>
    make(
      'button',
      {
        class: 'btn sq',
        'data-key': 'close',
        'aria-label': say('picture.close'),
        title: say('picture.close'),
        onclick: () => onChoose(model.name),
      },
      icon('close'),
    );

  /** Paint with it from now on. */
  function use() {
    Easel.form.fill({ model: model.name });
    document.querySelector('[data-tab-id="generate"]')?.click();
  }

  models.worked.on(view => {
    if (view.model !== model?.name || !Easel.live.hasEnded(view)) return;
    if (view.stage === 'error') said = view.problem;
    else said = { text: [say(`worked.${view.kind}`), ...view.notes].join(' · ') };
    look();
  });
  Easel.live.news.models.on(() => model && look()); // what a job found may be written down after its end
  models.renamed.on((from, to) => {
    if (Easel.form.values.model === from) Easel.form.fill({ model: to });
  });
  Easel.live.news.connection.on(isConnected => isConnected && model && look()); // a job may have ended meanwhile

  return { node, show };
};
