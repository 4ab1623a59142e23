// LoRAs on the desk: those that go into the mix, each with its strengths and how it fits; and LoRAs made of others, or
// out of a tuned model.
Easel.deskLoras = () => {
  const { make, icon, patch, renew, say } = Easel;
  const { desk } = Easel;
  const rows = make('ul', { class: 'lora-rows', tabindex: -1, 'aria-label': say('desk.loras') });
  const fits = new Map(); // "model\nlora" -> what is known of how they fit
  const summary = make('summary');
  const head = make(
    'div',
    { class: 'lora-head', 'aria-hidden': 'true' },
    make('span'),
    make('span', {}, say('loras.unet')),
    make('span', {}, say('loras.text')),
  );
  const told = { label: say('desk.loras'), none: say('loras.add'), find: say('loras.find') };
  const props = { value: '', choices: [], bare: true, ...told };
  const slot = make('div', { id: 'desk-add-lora' });
  const showPicker = Easel.picker({ element: slot, props, trigger: add });

  function add() {
    const { value } = props;
    props.value = '';
    if (value) desk.change({ loras: [...desk.state.loras, { name: value, unet: 1, text: 1, blocks: [] }] });
    showPicker();
  }

  const LAYOUTS = [12, 17, 20, 26]; // weights of a LoRA that mean something
  let refused = null; // { at, text, problem }: weights that were typed and cannot be

  /** A curve's name, or numbers with commas between; nothing: 1 everywhere. Throws { problem }. */
  function weights(text) {
    const curve = desk.offers.presets.find(one => one.name.toLowerCase() === text.trim().toLowerCase());
    if (curve?.[desk.layout()]?.length) return curve[desk.layout()];
    const numbers = text.split(/[,;\s]+/).filter(Boolean).map(Number);
    if (numbers.length && !(LAYOUTS.includes(numbers.length) && numbers.every(Number.isFinite)))
      throw { problem: say('loras.blocks.wrong', { n: numbers.length }) };
    return numbers;
  }

  function setBlocks(at, text) {
    refused = null;
    try {
      set(at, { blocks: weights(text) });
    } catch ({ problem }) {
      refused = { at, text, problem };
      show();
    }
  }

  const set = (at, what) =>
    desk.change({ loras: desk.state.loras.map((one, k) => (k === at ? { ...one, ...what } : one)) });

  function row(lora, at) {
    const box = part =>
      make('input', {
        type: 'number',
        step: 0.05,
        min: -10,
        max: 10,
        value: lora[part],
        'aria-label': `${say('loras.strength', { name: lora.name })}, ${say(`loras.${part}`)}`,
        title: say(`loras.${part}`),
        onchange: ({ target }) => Number.isFinite(target.valueAsNumber) && set(at, { [part]: target.valueAsNumber }),
      });
    const wrong = refused?.at === at ? refused : null;
    const label = say('loras.blocks.of', { name: lora.name });
    const blocks = make('input', {
      type: 'text',
      class: 'blocks',
      spellcheck: 'false',
      autocomplete: 'off',
      value: wrong?.text ?? lora.blocks.join(', '),
      placeholder: say('loras.blocks'),
      'aria-label': label,
      'aria-invalid': Boolean(wrong),
      title: say('loras.blocks.hint'),
      onchange: ({ target }) => setBlocks(at, target.value),
    });
    return make(
      'li',
      { 'data-key': JSON.stringify([at, lora, desk.state.models[0], wrong]) },
      make('b', { dir: 'auto', title: lora.name }, lora.name),
      box('unet'),
      box('text'),
      make(
        'button',
        {
          class: 'btn sq',
          'aria-label': say('loras.remove', { name: lora.name }),
          title: say('loras.remove', { name: lora.name }),
          onclick: () => desk.change({ loras: desk.state.loras.filter((_, k) => k !== at) }),
        },
        icon('close'),
      ),
      blocks,
      wrong && make('p', { class: 'reason danger', role: 'alert' }, wrong.problem),
      fitLine(lora.name),
    );
  }

  /** How a LoRA fits model A; asked for when it is not known yet. */
  function fitLine(name) {
    const model = desk.state.models[0];
    const key = `${model}\n${name}`;
    if (!fits.has(key) && model) look(key, model, name);
    const known = fits.get(key);
    if (!known) return null;
    if (known.problem) return make('p', { class: 'reason danger' }, `${known.problem}; ${known.fix}`);
    const parts = known.matched.unet + known.matched.text;
    const text = say(parts < known.modules ? 'loras.some' : 'loras.all', { n: parts, m: known.modules });
    return make('p', { class: 'reason' }, [text, ...known.notes].join(' · '));
  }

  async function look(key, model, name) {
    fits.set(key, null);
    try {
      fits.set(key, await Easel.ask(`api/loras/fit?${new URLSearchParams({ lora: name, model })}`));
    } catch (error) {
      fits.set(key, { problem: error.problem ?? error.message, fix: error.fix ?? '' });
    }
    show();
  }

  function show() {
    const { loras } = desk.state;
    const count = loras.length ? loras.map(one => one.name).join(', ') : say('desk.loras.none');
    patch.text(summary, say('desk.loras.label', { value: count }));
    props.choices = Easel.models.list
      .filter(one => one.kind === 'lora' && !one.problem && !one.hidden)
      .map(one => ({ name: one.name, group: one.family ?? '', note: one.detail }));
    showPicker();
    rows.hidden = head.hidden = !loras.length;
    renew(rows, loras.map(row));
  }
  const maker = Easel.loraMaker();
  const node = make('details', { class: 'desk-loras' }, summary, slot, head, rows, maker.node);
  desk.changed.on(show);
  Easel.models.changed.on(show);
  return { node, show };
};

/** A LoRA to be made: the sum of those in the mix at their strengths, or what B learnt beyond A. */
Easel.loraMaker = () => {
  const { make, patch, say } = Easel;
  const { desk } = Easel;
  const box = (type, label, more = {}) => make('input', { type, 'aria-label': say(label), ...more });
  const name = box('text', 'lora.name', { placeholder: say('lora.name'), maxlength: 200, oninput: () => tell('') });
  const rank = box('number', 'lora.rank', { min: 1, max: 1024, placeholder: say('lora.rank.open') });
  const energy = box('number', 'lora.energy', { min: 0.01, max: 1, step: 0.01, placeholder: say('lora.rank.open') });
  const add = make('button', { class: 'btn', onclick: () => begin(adding()) }, say('lora.add'));
  const extract = make('button', { class: 'btn', onclick: () => begin(extracting()) }, say('lora.extract'));
  const said = make('p', { class: 'reason', role: 'status' });
  const tryIt = make('button', { class: 'btn', hidden: true, onclick: tryMade }, say('lora.try'));
  let job = null, // the one under way
    made = ''; // the last one

  /** A alone, with the LoRA that was made. */
  function tryMade() {
    const lora = { name: made, unet: 1, text: 1, blocks: [] };
    desk.change({ models: [desk.state.models[0]], method: 'keep', loras: [lora] });
  }

  const number = field => (field.value === '' ? null : field.valueAsNumber);
  const common = kind => ({ kind, name: name.value.trim(), rank: number(rank), energy: number(energy) });
  const adding = () => ({ ...common('add_loras'), loras: desk.state.loras });
  const extracting = () => ({ ...common('extract'), model: desk.state.models[1], base: desk.state.models[0] });

  function tell(text, isWrong = false) {
    patch.text(said, text);
    said.classList.toggle('danger', isWrong);
  }

  async function begin(body) {
    tell('');
    tryIt.hidden = true;
    if (!body.name) {
      name.focus();
      tell(say('lora.unnamed'), true);
      return;
    }
    try {
      job = (await Easel.ask('api/jobs', desk.post(body))).id;
      if (Easel.live.latest(job)) hear(Easel.live.latest(job));
    } catch (error) {
      tell([error.problem ?? error.message, error.fix].filter(Boolean).join('; '), true);
    }
    show();
  }

  function hear(view) {
    if (!job || view.job !== job) return;
    if (!Easel.live.hasEnded(view)) tell([view.title, view.line].filter(Boolean).join(' · '));
    else if (view.problem) tell([view.problem.problem, view.problem.fix].filter(Boolean).join('; '), true);
    else {
      made = name.value.trim();
      tell(say('desk.saved', { name: made }));
      tryIt.hidden = false;
    }
    if (Easel.live.hasEnded(view)) job = null;
    show();
  }
  Easel.live.news.model.on(hear);

  function show() {
    add.disabled = Boolean(job) || !desk.state.loras.length;
    extract.disabled = Boolean(job) || desk.state.models.filter(Boolean).length < 2;
    patch.text(add, say(desk.state.loras.length === 1 ? 'lora.resize' : 'lora.add'));
  }
  desk.changed.on(show);
  show();
  const mini = (word, field) => make('label', { class: 'mini' }, say(word), field);
  const node = make(
    'details',
    { class: 'lora-maker' },
    make('summary', {}, say('lora.title')),
    make('p', { class: 'quiet' }, say('lora.hint')),
    name,
    make('div', { class: 'minis' }, mini('lora.rank', rank), mini('lora.energy', energy)),
    make('div', { class: 'acts' }, add, extract),
    said,
    tryIt,
  );
  return { node };
};
