// Beside the cards: what is known of the chosen model, and everything that can be done to it.
Easel.modelSide = ({ onChoose }) => {
  const { make, icon, patch, say } = Easel;
  const { models } = Easel;
  const node = make('aside', { class: 'model-side', hidden: true, 'aria-label': say('models.details') });
  let model = null, // as its card shows it
    detail = null, // all that is known
    mode = 'read', // or `rename`, `convert`, `trash`
    said = null; // what became of the last act { problem, fix } or { text }

  function show(next) {
    if (next?.name !== model?.name) {
      mode = 'read';
      said = null;
      detail = null;
    }
    model = next;
    node.hidden = !model;
    if (!model) return;
    if (!detail || detail.name !== model.name) look();
    draw();
  }

  async function look() {
    const { name } = model;
    try {
      const known = await models.detail(name);
      if (model?.name === name) detail = known;
    } catch (error) {
      said = error;
    }
    draw();
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

  const button = (key, onclick, iconName, more = {}) =>
    make('button', { class: 'btn', onclick, ...more }, iconName && icon(iconName), say(key));

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

  function own() {
    const notes = make('textarea', {
      rows: 3,
      'aria-label': say('models.notes'),
      placeholder: say('models.notes.hint'),
      onchange: () => act(() => models.note(model.name, { notes: notes.value }).then(keep)),
    });
    notes.value = detail?.notes ?? '';
    const tags = make('input', {
      type: 'text',
      'aria-label': say('models.tags'),
      placeholder: say('models.tags.hint'),
      onchange: () => act(() => models.note(model.name, { tags: tags.value.split(',') }).then(keep)),
    });
    tags.value = (detail?.tags ?? []).join(', ');
    return make('div', { class: 'own' }, tags, notes);
  }

  function keep(known) {
    detail = known;
    return models.refresh();
  }

  const toggle = (field, key, iconName) =>
    button(key, () => act(() => models.note(model.name, { [field]: !model[field] }).then(keep)), iconName, {
      'aria-pressed': Boolean(model[field]),
    });

  function acts() {
    const isPickle = model.problem && detail && ['ckpt', 'pt', 'pth', 'bin', 'safetensors'].includes(detail.form);
    const loads = models.paints(model);
    return make(
      'div',
      { class: 'model-acts' },
      loads && !models.inMemory(model) && button('models.load', () => ask('load')),
      models.inMemory(model) && button('models.unload', () => ask('unload')),
      loads && !model.default && button('models.default', () => act(() => models.choose(model.name))),
      !model.problem && button('models.verify', () => ask('verify')),
      (!model.problem || isPickle) && button('models.convert', () => turn('convert')),
      model.problem && button('models.again', () => act(models.scan)),
      !model.starter && button('models.rename', () => turn('rename')),
      toggle('favourite', 'models.favourite', 'keep'),
      toggle('hidden', 'models.hide'),
      !model.starter && button('models.trash', () => turn('trash'), 'trash'),
    );
  }

  function turn(next) {
    mode = next;
    said = null;
    draw();
    node.querySelector('.ask input')?.select();
  }

  const cancel = () => button('preset.cancel', () => turn('read'));

  function renaming() {
    const name = make('input', { type: 'text', maxlength: 240, 'aria-label': say('models.name') });
    name.value = model.name;
    const go = () => act(async () => onChoose(await models.rename(model.name, name.value)));
    name.addEventListener('keydown', event => event.key === 'Enter' && go());
    const answers = make('div', { class: 'row' }, button('models.rename', go), cancel());
    return make('div', { class: 'ask', 'data-esc': '' }, name, answers);
  }

  function converting() {
    const name = make('input', { type: 'text', maxlength: 240, 'aria-label': say('models.name') });
    const numbers = make(
      'select',
      { 'aria-label': say('field.precision') },
      make('option', { value: '' }, say('models.as_is')),
      ['fp16', 'bf16', 'fp32', 'fp8'].map(word => make('option', { value: word }, word)),
    );
    const pruned = make('input', { type: 'checkbox' });
    const folder = make('input', { type: 'checkbox' });
    name.value = `${model.name.split('/').at(-1)}-copy`;
    const go = () =>
      act(async () => {
        await models.request({
          kind: 'convert',
          model: model.name,
          name: name.value,
          dtype: numbers.value || null,
          pruned: pruned.checked,
          as_folder: folder.checked,
        });
        mode = 'read';
      });
    return make(
      'div',
      { class: 'ask', 'data-esc': '' },
      make('p', { class: 'quiet' }, say('models.convert.hint')),
      name,
      make('label', { class: 'select' }, numbers),
      make('label', { class: 'tick' }, pruned, say('models.pruned')),
      make('label', { class: 'tick' }, folder, say('models.as_folder')),
      make('div', { class: 'row' }, button('models.convert', go), cancel()),
    );
  }

  const trashing = () =>
    make(
      'div',
      { class: 'ask', 'data-esc': '' },
      make('p', {}, say('models.trash.ask', { name: model.name })),
      make(
        'div',
        { class: 'row' },
        button('models.trash', () => act(() => models.trash(model.name)), 'trash', { class: 'btn danger' }),
        cancel(),
      ),
    );

  const QUESTIONS = { rename: renaming, convert: converting, trash: trashing };

  function outcome() {
    const busy = models.workOn(model.name);
    if (busy)
      return make(
        'div',
        { class: 'work', role: 'status', '--p': `${busy.share * 100}%` },
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
    const typing = node.querySelector('.own')?.contains(document.activeElement);
    const mine = typing ? node.querySelector('.own') : own();
    node.replaceChildren(
      make(
        'div',
        { class: 'scroll' },
        make('header', {}, make('h3', { dir: 'auto' }, model.name), closing()),
        model.problem && make('p', { class: 'reason danger' }, `${model.problem.problem}; ${model.problem.fix}`),
        detail?.description && make('p', { class: 'told', dir: 'auto' }, detail.description),
        facts(),
        mine,
        QUESTIONS[mode]?.() ?? acts(),
        outcome() ?? '',
      ),
      make(
        'div',
        { class: 'foot' },
        make(
          'button',
          { class: 'btn solid', disabled: !models.paints(model), onclick: use },
          say(Easel.form.values.model === model.name ? 'models.in_use' : 'models.use'),
        ),
        models.paints(model)
          ? null
          : make('p', { class: 'reason' }, say(model.problem ? 'models.unusable' : 'models.no_painter')),
      ),
    );
    if (typing) mine.querySelector(':focus')?.focus();
  }

  const closing = () =>
    make(
      'button',
      {
        class: 'btn sq',
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
    detail = null;
    if (view.stage === 'error') said = view.problem;
    else said = { text: [say(`worked.${view.kind}`), ...view.notes].join(' · ') };
    look();
  });

  return { node, show };
};
