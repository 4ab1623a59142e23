// Under the faders: whether the mixture can be kept, and what that takes. At the side: under what name and how.
Easel.deskCheck = () => {
  const { make, icon, renew, say } = Easel;
  const { desk, mixing, models } = Easel;
  const node = make('div', { class: 'preflight', role: 'status', tabindex: -1 });

  const sentence = ({ problem, fix }) => [problem, fix].filter(Boolean).join('; ');
  const good = text => make('span', { class: 'ok' }, icon('check', 14), text);
  const care = (text, title = '') => make('span', { class: 'care', title }, icon('warn', 14), text);

  /** Why it cannot be kept, { problem, fix }; null when it can. */
  function obstacle() {
    const { check } = mixing;
    const [letter] = mixing.lacking;
    if (letter) return { problem: say('desk.lacks', { letter }), fix: '' };
    if (!check) return { problem: say('desk.checking'), fix: '' };
    return check.refused ?? check.problem;
  }

  function show() {
    const { check, lacking } = mixing;
    const why = obstacle();
    if (!check || lacking.length) {
      renew(node, make('b', { class: 'bad' }, say('desk.not_ready')), why.problem);
      return;
    }
    if (check.refused) {
      renew(node, make('b', { class: 'bad' }, say('desk.not_ready')), care(sentence(why)));
      return;
    }
    const isAll = check.matched === check.tensors;
    const matched = say('desk.tensors', { n: check.matched, of: check.tensors });
    renew(
      node,
      why ? make('b', { class: 'bad' }, say('desk.not_ready')) : make('b', {}, say('desk.ready')),
      why && care(sentence(why)),
      good(say('desk.family', { family: check.family })),
      check.matched !== null && (isAll ? good(matched) : care(matched, say('desk.tensors.others'))),
      good(say('desk.memory', { size: models.size(check.memory) })),
      good(say('desk.disk', { size: models.size(check.size), free: models.size(check.free) })),
      make('span', {}, say('desk.about', { s: Math.max(1, Math.round(check.seconds)) })),
    );
  }
  mixing.changed.on(show);
  desk.changed.on(show);
  return { node, show, obstacle };
};

Easel.deskSave = ({ obstacle }) => {
  const { make, icon, patch, say } = Easel;
  const { desk, mixing } = Easel;
  const DTYPES = ['', 'fp16', 'bf16', 'fp32', 'fp8'];

  const name = make('input', {
    type: 'text',
    maxlength: 200,
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-label': say('desk.name'),
    oninput: event => {
      if (!mixing.kept?.job) mixing.forgetKept();
      desk.change({ name: event.target.value });
    },
  });
  const dtype = make(
    'select',
    { 'aria-label': say('desk.dtype'), onchange: event => desk.change({ dtype: event.target.value }) },
    DTYPES.map(one => make('option', { value: one }, one || say('desk.dtype.source'))),
  );
  const vae = make('select', {
    'aria-label': say('desk.vae'),
    onchange: event => desk.change({ vae: event.target.value }),
  });
  const pruned = make('input', { type: 'checkbox', onchange: event => desk.change({ pruned: event.target.checked }) });
  const notes = make('textarea', {
    rows: 2,
    dir: 'auto',
    'aria-label': say('desk.notes'),
    placeholder: say('desk.notes'),
    oninput: event => desk.change({ notes: event.target.value }, { undo: false }),
  });
  const summary = make('summary');
  const loras = Easel.deskLoras();
  const recipe = make(
    'button',
    { class: 'btn', id: 'save-recipe', onclick: () => keep(true) },
    say('desk.save_recipe'),
  );
  const model = make(
    'button',
    { class: 'btn solid primary', id: 'save-model', onclick: () => keep(false) },
    say('desk.save_model'),
  );
  const reason = make('p', { class: 'reason', role: 'status' });
  const work = make('div', { class: 'keeping', role: 'status', hidden: true });

  function keep(onlyRecipe) {
    if (!obstacle()) mixing.keep({ onlyRecipe });
  }

  /** The models whose VAE may go in, the mixed one of BASE, and files of VAEs. */
  function showVaes() {
    const letters = desk.state.models.filter(Boolean).map((_, k) => String.fromCharCode(65 + k));
    const files = Easel.models.list.filter(one => one.kind === 'vae' && !one.problem).map(one => one.name);
    const options = [
      ...letters.map(letter => [letter, say('desk.vae.of', { letter })]),
      ...(desk.byBlock().length ? [['base', say('desk.vae.base')]] : []),
      ...files.map(file => [`file:${file}`, file]),
    ];
    const now = desk.state.vae;
    if (!options.some(([value]) => value === now)) options.push([now, now.replace('file:', '')]);
    vae.replaceChildren(...options.map(([value, text]) => make('option', { value }, text)));
    vae.value = now;
  }

  function showWork() {
    const { kept, keeping } = mixing;
    work.hidden = !kept;
    if (!kept) return;
    if (kept.job) {
      const share = keeping?.share ?? 0;
      work.replaceChildren(
        make('span', { class: 'grow' }, keeping?.line || say('desk.saving', { name: kept.name })),
        make('button', { class: 'btn', onclick: mixing.stopKeeping }, say('desk.stop')),
        make('i', { class: 'bar', '--p': `${100 * share}%` }),
      );
      return;
    }
    const [tone, text] = kept.problem
      ? ['danger', [kept.problem.problem, kept.problem.fix].filter(Boolean).join('; ')]
      : kept.isStopped
        ? ['', say('desk.stopped')]
        : ['', say('desk.saved', { name: kept.name })];
    work.replaceChildren(
      make('span', { class: `grow reason ${tone}` }, text),
      make(
        'button',
        { class: 'btn sq', 'aria-label': say('desk.fine'), title: say('desk.fine'), onclick: mixing.forgetKept },
        icon('close'),
      ),
    );
  }

  function show() {
    const { state } = desk;
    if (document.activeElement !== name) name.value = state.name;
    name.placeholder = desk.offers ? desk.title() : '';
    if (document.activeElement !== notes) notes.value = state.notes;
    dtype.value = state.dtype;
    pruned.checked = state.pruned;
    showVaes();
    const [pruning, noted] = [state.pruned && say('desk.pruned'), state.notes && say('desk.noted')];
    const told = [vae.selectedOptions[0]?.textContent, pruning, noted];
    patch.text(summary, say('desk.more', { value: told.filter(Boolean).join(', ') }));
    const why = obstacle();
    const isBusy = Boolean(mixing.kept?.job);
    recipe.disabled = model.disabled = Boolean(why) || isBusy;
    patch.text(reason, why ? [why.problem, why.fix].filter(Boolean).join('; ') : '');
    reason.hidden = !why || isBusy;
    showWork();
  }

  const label = (text, box) => make('label', { class: 'mini' }, text, box);
  const node = make(
    'section',
    { class: 'save-part' },
    loras.node,
    make(
      'div',
      { class: 'name-as' },
      label(say('desk.name'), name),
      label(say('desk.dtype'), make('span', { class: 'select' }, dtype)),
    ),
    make(
      'details',
      {},
      summary,
      label(say('desk.vae'), make('span', { class: 'select' }, vae)),
      make('label', { class: 'check' }, pruned, say('desk.pruned.label')),
      notes,
    ),
  );
  const foot = make('div', { class: 'desk-foot' }, reason, work, recipe, model);
  desk.changed.on(show);
  mixing.changed.on(show);
  Easel.models.changed.on(show);
  return { node, foot, show };
};
