// Sheets of pictures in the desk's place: one for each block, or over any two things. Filled while one looks; a press
// on a picture brings its mix to the desk.
Easel.sheets = () => {
  const { make, icon, patch, say, memory } = Easel;
  const { desk, mixing } = Easel;
  const title = make('h2');
  const line = make('span', { class: 'quiet grow', role: 'status' });
  const stop = make('button', { class: 'btn', onclick: () => Easel.live.stop(job, 'now') }, say('desk.stop'));
  const save = make('a', { class: 'btn', target: '_blank' }, icon('save'), say('sheet.save'));
  const close = make(
    'button',
    { class: 'btn sq', title: say('sheet.close'), 'aria-label': say('sheet.close'), onclick: () => open(null) },
    icon('close'),
  );
  const bar = make('i', { class: 'bar' });
  const grid = make('div', { class: 'sheet-grid' });
  const problem = make('p', { class: 'reason danger', role: 'alert', hidden: true });
  const node = make(
    'section',
    { class: 'sheet', hidden: true, 'aria-label': say('sheet.title') },
    make('header', {}, title, line, stop, save, close),
    bar,
    problem,
    grid,
  );
  let job = null, // the sheet that is shown
    told = null, // what is known of it
    view = null; // how far it is

  // What is asked for

  /** Every weight spelled out, so that one of them can be another. */
  function whole() {
    const mixture = desk.mixture();
    const blocks = Object.fromEntries(desk.byBlock().map(one => [one.key, desk.weights(one)]));
    return { ...mixture, mix: { ...mixture.mix, blocks } };
  }

  async function begin(columns, rows = [], over = {}) {
    const body = { kind: 'sheet', mixture: { ...whole(), ...over }, picture: desk.state.picture, columns, rows };
    const made = await Easel.ask('api/jobs', desk.post(body));
    open(made.id);
  }

  /** One picture for each block, with only that block from B. */
  function blocks() {
    const [first] = desk.byBlock();
    const names = desk.names();
    const only = name => names.map(one => (one === name ? 1 : 0));
    return begin(names.map(name => ({ label: name, blocks: { [first.key]: only(name) } })));
  }

  // What is shown

  async function open(which) {
    if (which) memory.set('desk.last_sheet', which);
    job = which;
    memory.set('desk.sheet', job);
    view = told = null;
    node.hidden = !job;
    node.parentElement?.classList.toggle('covered', Boolean(job));
    if (job) {
      await refresh();
      close.focus();
    }
  }

  async function refresh() {
    const mine = job;
    try {
      const found = await Easel.ask(`api/desk/sheets/${mine}`);
      if (mine !== job) return;
      told = found;
    } catch (error) {
      console.warn(error);
      open(null);
    }
    draw();
  }

  function draw() {
    if (!told) return;
    const { columns, rows, cells, state } = told;
    const count = columns.length * Math.max(1, rows.length);
    const done = Object.keys(cells).length;
    const isRunning = state === 'queued' || state === 'running';
    patch.text(title, say(rows.length ? 'sheet.grid' : 'sheet.title'));
    const stopped = state === 'stopped' && say('sheet.stopped');
    const hint = done > 0 && !isRunning && say('sheet.hint');
    patch.text(line, [say('sheet.done', { n: done, of: count }), stopped, hint].filter(Boolean).join(' · '));
    stop.hidden = !isRunning;
    bar.hidden = !isRunning;
    const share = view?.share ?? 0;
    bar.style.setProperty('--p', `${(100 * (done + (done < count ? share : 0))) / count}%`);
    save.hidden = !done;
    save.href = new URL(`api/desk/sheets/${job}/picture`, document.baseURI).href;
    const wrong = told.problem;
    patch.text(problem, wrong ? [wrong.problem, wrong.fix].filter(Boolean).join('; ') : '');
    problem.hidden = !wrong;
    grid.classList.toggle('crossed', rows.length > 0);
    grid.style.setProperty('--n', columns.length);
    const cell = place => {
      const row = cells[place];
      const crossing = [columns[place % columns.length], rows[Math.floor(place / columns.length)]];
      const label = crossing.filter(Boolean).join(', ');
      if (!row) return make('span', { class: 'cell', 'data-key': `${job} ${place} blank` });
      return make(
        'button',
        {
          class: 'cell',
          'data-key': `${job} ${place}`,
          'aria-label': label,
          title: say('sheet.take', { label }),
          onclick: () => take(row),
        },
        make('img', { src: row.url, alt: '', loading: 'lazy' }),
      );
    };
    const labelled = columns.map((label, x) =>
      make('figure', { 'data-key': `${job} f${x}` }, make('figcaption', {}, label), cell(x)),
    );
    const crossed = [
      make('span', { 'data-key': `${job} corner` }),
      ...columns.map((label, x) => make('b', { 'data-key': `${job} c${x}` }, label)),
      ...rows.flatMap((label, y) => [
        make('b', { 'data-key': `${job} r${y}` }, label),
        ...columns.map((_, x) => cell(y * columns.length + x)),
      ]),
    ];
    Easel.renew(grid, rows.length ? crossed : labelled);
  }

  function take(row) {
    open(null);
    mixing.bringBack(row);
  }

  Easel.live.news.desk.on(news => {
    if (!job || news.job !== job) return;
    const before = view;
    view = news;
    const isNew = before?.images?.length !== news.images.length || Easel.live.hasEnded(news);
    if (isNew) refresh();
    else draw();
  });
  // Also when the focus is nowhere: the button that had it may be gone.
  addEventListener('keydown', event => {
    if (event.key === 'Escape' && node.offsetParent && !document.querySelector(':popover-open')) open(null);
  });

  const menu = Easel.sheetMenu({ begin, blocks, reopen: () => open(memory.get('desk.last_sheet')) });
  desk.offered.on(() => {
    const before = memory.get('desk.sheet');
    if (before) open(before);
  });
  return { node, menu, show: draw };
};

/** Which sheet: the block sheet with one press, or two things to go over, each with its values. */
Easel.sheetMenu = ({ begin, blocks, reopen }) => {
  const { make, icon, patch, say, memory } = Easel;
  const { desk } = Easel;
  const node = make('div', { class: 'weight-menu', popover: 'auto', 'data-esc': '', role: 'dialog' });
  node.setAttribute('aria-label', say('sheet.menu'));
  const button = make(
    'button',
    { class: 'btn', 'aria-haspopup': 'dialog', onclick: () => node.togglePopover() },
    icon('grid'),
    say('sheet.menu'),
  );
  const said = make('p', { class: 'reason danger', role: 'alert', hidden: true });
  const PLUS = ' + ';
  const lines = text => text.split('\n').map(one => one.trim()).filter(Boolean);
  const parts = text => text.split(/[,;\n]+/).map(one => one.trim()).filter(Boolean);
  const even = (key, value) => ({ blocks: { [key]: desk.names().map(() => value) }, parameters: { [key]: value } });

  /** What can be gone over: the values to begin with, how a text is taken apart, and what each value changes. */
  const AXES = {
    share: {
      first: () => '0, 0.25, 0.5, 0.75, 1',
      split: parts,
      change: value => even(desk.byBlock()[0].key, number(value)),
    },
    block: {
      first: () => '0, 0.5, 1',
      split: parts,
      change: (value, block) => ({ weights: { [desk.byBlock()[0].key]: { [block]: number(value) } } }),
    },
    curve: { first: () => 'GRAD_V, GRAD_A, COSINE, SMOOTHSTEP', split: parts, change: curve },
    method: { first: methodsToTry, split: parts, change: value => ({ method: methodOf(value) }) },
    seed: { first: () => '1, 2, 3', split: parts, change: value => ({ picture: { seed: number(value) } }) },
    prompt: { first: () => desk.state.picture.prompt, split: lines, change: value => ({ picture: { prompt: value } }) },
    cfg: { first: () => '3, 5, 7', split: parts, change: value => ({ picture: { cfg: number(value) } }) },
    models: { first: () => desk.state.models.join(PLUS), split: lines, change: models },
  };

  /** `A + B`, the others as they are; one name alone is B's. */
  function models(text) {
    const isOne = Easel.models.list.some(one => one.name === text);
    const names = isOne ? [undefined, text] : text.split(PLUS).map(one => one.trim());
    if (!isOne && names.length < 2) names.unshift(undefined);
    return { models: desk.state.models.map((name, k) => names[k] ?? name) };
  }

  /** Labels of methods that take as many models as stand on the desk. */
  function methodsToTry() {
    const count = desk.state.models.filter(Boolean).length;
    const fit = desk.offers.methods.filter(one => one.low === count && one.high === count);
    return fit.slice(0, 4).map(one => one.label).join(', ');
  }

  /** By its label or its key. */
  function methodOf(text) {
    const known = one => [one.label, one.key].some(name => name.toLowerCase() === text.toLowerCase());
    const found = desk.offers.methods.find(known);
    if (!found) throw Object.assign(new Error(), { problem: say('sheet.no_method', { text }) });
    return found.key;
  }

  function number(text) {
    const value = Number(text.replace(',', '.'));
    if (!Number.isFinite(value)) throw Object.assign(new Error(), { problem: say('sheet.no_number', { text }) });
    return value;
  }

  function curve(name) {
    const found = desk.offers.presets.find(one => one.name.toLowerCase() === name.toLowerCase());
    const weights = found?.[desk.layout()];
    if (!weights?.length) throw Object.assign(new Error(), { problem: say('sheet.no_curve', { text: name }) });
    return { blocks: { [desk.byBlock()[0].key]: weights } };
  }

  function axis(key, chosen, none) {
    const kind = make('select', { 'aria-label': say(key), onchange: () => begun() });
    if (none) kind.append(make('option', { value: '' }, say('sheet.nothing')));
    kind.append(...Object.keys(AXES).map(name => make('option', { value: name }, say(`sheet.axis.${name}`))));
    kind.value = chosen;
    const block = make('select', { 'aria-label': say('sheet.which_block') });
    const values = make('textarea', { rows: 2, spellcheck: 'false', 'aria-label': say('sheet.values') });
    const box = make(
      'div',
      { class: 'axis' },
      make('b', {}, say(key)),
      make('span', { class: 'select' }, kind),
      make('span', { class: 'select' }, block),
      values,
    );

    function begun() {
      values.hidden = !kind.value;
      values.value = AXES[kind.value]?.first() ?? '';
      show();
    }
    function show() {
      block.parentElement.hidden = kind.value !== 'block';
      const names = desk.names();
      if (block.length !== names.length) block.replaceChildren(...names.map(name => make('option', {}, name)));
    }
    /** The variations; throws { problem } for a value that is none. */
    function read() {
      const how = AXES[kind.value];
      if (!how) return [];
      if (!how.split(values.value).length) throw Object.assign(new Error(), { problem: say('sheet.no_values') });
      const title = { block: block.value, share: 'B', seed: say('field.seed'), cfg: say('field.cfg') }[kind.value];
      return how.split(values.value).map(value => ({
        label: [title, value.slice(0, 120)].filter(Boolean).join(' '),
        ...how.change(value, block.value),
      }));
    }
    begun();
    return { box, show, read, size: () => AXES[kind.value]?.split(values.value).length ?? 0 };
  }

  let across, down;
  const body = make('div', { class: 'axes' });

  function open() {
    const place = button.getBoundingClientRect();
    const wide = Math.min(380, innerWidth - 16);
    const left = Math.max(8, Math.min(place.left, innerWidth - wide - 8));
    const top = Math.max(56, Math.min(place.bottom + 4, innerHeight - 440));
    const size = { left: `${left}px`, width: `${wide}px`, top: `${top}px`, maxHeight: `${innerHeight - top - 8}px` };
    Object.assign(node.style, size);
    said.hidden = true;
    if (!across) {
      across = axis('sheet.across', 'share', false);
      down = axis('sheet.down', '', true);
      body.replaceChildren(across.box, down.box);
    }
    across.show();
    down.show();
    last.hidden = !memory.get('desk.last_sheet');
    count();
    blockSheet.disabled = !desk.byBlock().length || desk.state.models.filter(Boolean).length < 2;
  }
  node.addEventListener('toggle', event => event.newState === 'open' && open());

  async function act(doing) {
    said.hidden = true;
    try {
      await doing();
      node.hidePopover();
    } catch (error) {
      patch.text(said, [error.problem ?? error.message, error.fix].filter(Boolean).join('; '));
      said.hidden = false;
    }
  }

  const blockSheet = make('button', { class: 'btn', onclick: () => act(blocks) }, say('sheet.blocks'));
  const last = make('button', { class: 'btn', onclick: () => act(reopen), hidden: true }, say('sheet.last'));
  const grid = async () => begin(across.read(), down.read());
  const paint = make('button', { class: 'btn', onclick: () => act(grid) }, say('sheet.begin'));

  /** How many pictures it will be. */
  function count() {
    const n = across.size() * Math.max(1, down.size());
    patch.text(paint, n ? say('sheet.begin.count', { n }) : say('sheet.begin'));
  }
  body.addEventListener('input', count);
  body.addEventListener('change', count);
  node.append(
    blockSheet,
    make('p', { class: 'quiet' }, say('sheet.blocks.hint')),
    body,
    make('div', { class: 'acts' }, paint, last),
    said,
  );
  return { node, button };
};
