// Find a mix: two pictures, the better one is pressed, and the next pair is nearer; or a measure that needs no presses.
Easel.finding = () => {
  const { make, icon, patch, renew, say, ask, memory } = Easel;
  const { desk, mixing } = Easel;
  const POLL = 600; // ms, while something is painted
  let key = null, // the search that is shown
    told = null, // what is known of it
    timer = 0,
    hasScorer = false;

  const title = make('h2', {}, say('finding.title'));
  const line = make('span', { class: 'quiet grow', role: 'status' });
  const stop = make('button', { class: 'btn', onclick: () => act(`/${key}/stop`) }, say('desk.stop'));
  const more = make('button', { class: 'btn', onclick: () => act(`/${key}/go`, { count: 20 }) }, say('finding.more'));
  const take = make('button', { class: 'btn solid', onclick: takeBest }, say('finding.take'));
  const close = make(
    'button',
    { class: 'btn sq', title: say('sheet.close'), 'aria-label': say('sheet.close'), onclick: () => open(null) },
    icon('close'),
  );
  const problem = make('p', { class: 'reason danger', role: 'alert', hidden: true });
  const pair = make('div', { class: 'pair' });
  const same = make('button', { class: 'btn', onclick: () => answer('same') }, say('finding.same'));
  const history = make('div', { class: 'tried', role: 'group', 'aria-label': say('finding.tried') });
  const node = make(
    'section',
    { class: 'sheet finding', hidden: true, 'aria-label': say('finding.title') },
    make('header', {}, title, line, stop, more, take, close),
    problem,
    make('div', { class: 'choosing' }, pair, same),
    history,
  );

  async function act(path, body = {}) {
    try {
      show(await ask(`api/desk/searches${path}`, desk.post(body)));
    } catch (error) {
      complain(error);
    }
  }

  const answer = better => told?.state === 'asking' && act(`/${key}/answer`, { better });

  function complain(error) {
    patch.text(problem, error ? [error.problem ?? error.message, error.fix].filter(Boolean).join('; ') : '');
    problem.hidden = !error;
  }

  async function open(which) {
    key = which;
    memory.set('desk.search', key);
    node.hidden = !key;
    clearTimeout(timer);
    if (!key) return;
    try {
      show(await ask(`api/desk/searches/${key}`));
      close.focus();
    } catch (error) {
      console.warn(error);
      open(null);
    }
  }

  function show(next) {
    if (!key || next.id !== key) return;
    told = next;
    complain(told.problem);
    draw();
    clearTimeout(timer);
    if (told.state === 'painting') timer = setTimeout(look, POLL);
  }

  async function look() {
    const mine = key;
    try {
      const next = await ask(`api/desk/searches/${mine}`);
      if (mine === key) show(next);
    } catch (error) {
      console.warn(error);
      timer = setTimeout(look, 4 * POLL);
    }
  }

  // How it looks

  function draw() {
    const judged = told.trials.filter(one => one.score !== null).length;
    const isPerson = told.judge === 'person';
    const words = { painting: 'finding.painting', asking: 'finding.asking', resting: 'finding.resting' };
    patch.text(line, [say('finding.count', { n: judged }), say(words[told.state])].join(' · '));
    stop.hidden = told.state !== 'painting' || isPerson;
    more.hidden = told.state !== 'resting';
    take.disabled = told.best === null;
    same.hidden = told.state !== 'asking';
    const two = isPerson ? [told.best, told.new] : [told.best];
    renew(
      pair,
      two.map((number, k) => choice(number, k, isPerson)),
    );
    const tried = [...told.trials].reverse().filter(one => told.pictures[one.number]);
    renew(history, tried.map(small));
  }

  /** One of the two; the one that waits to be painted is a frame. */
  function choice(number, k, isPerson) {
    const row = number === null ? null : told.pictures[number];
    const name = say(isPerson ? ['finding.best', 'finding.new'][k] : 'finding.best');
    const caption = make('figcaption', {}, name);
    const blank = make('span', { class: 'cell blank' }, say('finding.blank'));
    if (!row) return make('figure', { 'data-key': `blank ${k}` }, blank, caption);
    const which = ['best', 'new'][k];
    const label = isPerson && told.state === 'asking' ? say('finding.press', { name }) : name;
    return make(
      'figure',
      { 'data-key': `${key} ${which} ${number}` },
      make(
        'button',
        {
          class: 'cell',
          'aria-label': label,
          title: label,
          onclick: () => (isPerson ? answer(which) : takeBest()),
          onkeydown: keys,
        },
        make('img', { src: row.url, alt: '' }),
      ),
      caption,
    );
  }

  function keys(event) {
    const which = { ArrowLeft: 'best', ArrowRight: 'new', ArrowDown: 'same' }[event.key];
    if (!which) return;
    event.preventDefault();
    answer(which);
  }

  function small(one) {
    const row = told.pictures[one.number];
    const score = one.score === null ? '' : one.score.toFixed(Number.isInteger(one.score) ? 0 : 3);
    const label = say('finding.trial', { n: one.number + 1, score });
    return make(
      'button',
      {
        class: 'thumb',
        'data-key': `${key} ${one.number} ${score}`,
        'aria-pressed': one.number === told.best,
        'aria-label': label,
        title: label,
        onclick: () => bring(row),
      },
      make('img', { src: row.thumb, alt: '', loading: 'lazy' }),
      make('small', {}, score),
    );
  }

  function bring(row) {
    open(null);
    mixing.bringBack(row);
  }

  function takeBest() {
    const row = told?.pictures[told.best];
    if (row) bring(row);
  }

  // Also when the focus is nowhere: the button that had it may be gone.
  addEventListener('keydown', event => {
    if (event.key === 'Escape' && node.offsetParent && !document.querySelector(':popover-open')) open(null);
  });

  // What is looked for

  const menu = make('div', { class: 'weight-menu', popover: 'auto', 'data-esc': '', role: 'dialog' });
  menu.setAttribute('aria-label', say('finding.title'));
  const button = make(
    'button',
    { class: 'btn', 'aria-haspopup': 'dialog', onclick: () => menu.togglePopover() },
    icon('search'),
    say('finding.title'),
  );
  const groups = [
    ['BASE', /^BASE$/],
    ['IN', /^IN/],
    ['MID', /^M/],
    ['OUT', /^OUT/],
  ];
  const ticks = groups.map(([name]) => {
    const box = make('input', { type: 'checkbox' });
    box.checked = name !== 'BASE';
    return [box, make('label', { class: 'check' }, box, name)];
  });
  const together = make('input', { type: 'checkbox' });
  together.checked = true;
  const judge = make('select', { 'aria-label': say('finding.judge'), onchange: showLike });
  const like = make('select', { 'aria-label': say('finding.like') });
  const likeBox = make('span', { class: 'select', hidden: true }, like);
  const hint = make('p', { class: 'quiet' });
  const said = make('p', { class: 'reason danger', role: 'alert', hidden: true });
  const earlier = make('button', { class: 'btn', onclick: goOn, hidden: true }, say('finding.earlier'));
  menu.append(
    hint,
    make('b', {}, say('finding.blocks')),
    make('div', { class: 'acts' }, ticks.map(([, label]) => label)),
    make('label', { class: 'check' }, together, say('finding.together')),
    make('b', {}, say('finding.judge')),
    make('span', { class: 'select' }, judge),
    likeBox,
    make(
      'div',
      { class: 'acts' },
      make('button', { class: 'btn solid', onclick: begin }, say('finding.begin')),
      earlier,
    ),
    said,
  );
  menu.addEventListener('toggle', event => event.newState === 'open' && unfold());

  async function unfold() {
    const place = button.getBoundingClientRect();
    const wide = Math.min(380, innerWidth - 16);
    const left = Math.max(8, Math.min(place.left, innerWidth - wide - 8));
    const top = Math.max(56, Math.min(place.bottom + 4, innerHeight - 400));
    Object.assign(menu.style, { left: `${left}px`, width: `${wide}px`, top: `${top}px` });
    said.hidden = true;
    const { searches, scorer } = await ask('api/desk/searches');
    hasScorer = scorer;
    const options = [
      ['person', 'finding.judge.person'],
      ['likeness', 'finding.judge.likeness'],
      ...(hasScorer ? [['scorer', 'finding.judge.scorer']] : []),
    ];
    const before = judge.value || 'person';
    judge.replaceChildren(...options.map(([value, word]) => make('option', { value }, say(word))));
    judge.value = options.some(([value]) => value === before) ? before : 'person';
    showLike();
    earlier.hidden = !searches.length;
    earlier.dataset.search = searches[0] ?? '';
  }

  /** The pictures that a mix may come near to: what B or A alone paints, or the one that is shown. */
  function showLike() {
    const [a, b] = desk.state.models.map(name => mixing.reference(name)?.id);
    const offered = [
      [b, say('finding.like.alone', { letter: 'B' })],
      [a, say('finding.like.alone', { letter: 'A' })],
      [mixing.shown?.id, say('finding.like.shown')],
    ].filter(([id]) => id);
    like.replaceChildren(...offered.map(([value, text]) => make('option', { value }, text)));
    likeBox.hidden = judge.value !== 'likeness';
    patch.text(hint, say(judge.value === 'person' ? 'finding.hint' : 'finding.hint.alone'));
  }

  function goOn() {
    menu.hidePopover();
    open(earlier.dataset.search);
  }

  async function begin() {
    said.hidden = true;
    const [first] = desk.byBlock();
    const wanted = groups.filter((_, k) => ticks[k][0].checked).map(([, fits]) => fits);
    const mixture = desk.mixture();
    const blocks = Object.fromEntries(desk.byBlock().map(one => [one.key, desk.weights(one)]));
    const body = {
      mixture: { ...mixture, mix: { ...mixture.mix, blocks } },
      picture: desk.state.picture,
      parameter: first?.key ?? 'alpha',
      blocks: desk.names().filter(name => wanted.some(fits => fits.test(name))),
      together: together.checked,
      judge: judge.value,
      reference: judge.value === 'likeness' ? Number(like.value) || null : null,
    };
    try {
      const made = await ask('api/desk/searches', desk.post(body));
      menu.hidePopover();
      await open(made.id);
      if (judge.value !== 'person') act(`/${made.id}/go`, { count: 20 });
    } catch (error) {
      patch.text(said, [error.problem ?? error.message, error.fix].filter(Boolean).join('; '));
      said.hidden = false;
    }
  }

  desk.offered.on(() => {
    const before = memory.get('desk.search');
    if (before) open(before);
  });
  return { node, menu, button };
};
