// Beside the faders: the picture of the mix, how it is painted, and earlier mixes to go back to.
Easel.deskPreview = () => {
  const { make, svg, icon, patch, renew, say } = Easel;
  const { desk, mixing } = Easel;
  const seconds = make('span', { role: 'status' });
  const image = make('img', { alt: '' });
  const bar = make('i', { class: 'bar', hidden: true });
  const hint = make('p', { class: 'hint-line' });
  const corners = make('div', { class: 'ab' });
  const refusal = make('div', { class: 'refusal', role: 'alert', hidden: true });
  const picture = make('figure', { class: 'mixpic' }, image, bar, hint, refusal, corners);
  const strip = make('div', { class: 'earlier', tabindex: -1, role: 'group', 'aria-label': say('desk.earlier') });
  const none = make('p', { class: 'quiet' }, say('desk.earlier.none'));

  function showPicture() {
    const { live, shown, problem } = mixing;
    const source = problem ? '' : (live?.url ?? shown?.url ?? '');
    image.hidden = !source;
    if (source) patch.attribute(image, 'src', source);
    image.alt = shown ? say('desk.preview.alt', { model: shown.request.model }) : '';
    const isStale = live ? !live.url : shown && !mixing.isPresent(shown);
    picture.classList.toggle('stale', Boolean(isStale));
    bar.hidden = !live;
    bar.style.setProperty('--p', `${100 * (live?.share ?? 0)}%`);
    const [letter] = mixing.lacking;
    const took = source && !letter && shown ? say('desk.seconds', { s: shown.seconds.toFixed(1) }) : '';
    patch.text(seconds, live ? (live.line ?? '') : took);
    hint.hidden = Boolean(!letter && (source || problem));
    if (letter) image.hidden = true;
    patch.text(hint, letter ? say('desk.choose', { letter }) : say('desk.wait'));
    refusal.hidden = !problem;
    if (problem)
      refusal.replaceChildren(
        icon('warn', 24),
        make('b', {}, problem.problem),
        make('p', {}, problem.fix),
        make('button', { class: 'btn', onclick: () => mixing.preview(true) }, icon('again'), say('desk.again')),
      );
    showCorners();
  }

  /** A and B alone; held down, one covers the mix. */
  function showCorners() {
    const rows = desk.isAlone() ? [] : desk.state.models.slice(0, 2).map(name => [name, mixing.reference(name)]);
    renew(
      corners,
      rows.map(([name, row], k) => {
        if (!row) return make('span', {});
        const letter = 'AB'[k];
        const told = say('desk.alone', { letter, name });
        return make(
          'button',
          { class: 'thumb', 'data-key': `${letter} ${row.id}`, title: told, 'aria-label': told, ...peek(row) },
          make('img', { src: row.thumb, alt: '' }),
          make('span', { 'aria-hidden': 'true' }, letter),
        );
      }),
    );
  }

  const peek = row => {
    const cover = () => patch.attribute(image, 'src', row.url);
    return {
      onpointerdown: cover,
      onpointerup: showPicture,
      onpointerleave: showPicture,
      onkeydown: event => event.key === ' ' && cover(),
      onkeyup: showPicture,
    };
  };

  /** The curve of a mix, small. */
  function spark(row) {
    const { mixture } = row.request;
    const numbers = Object.values(mixture.mix.blocks)[0];
    const even = mixture.mix.parameters.alpha ?? 0.5;
    const points = numbers?.slice(1) ?? [even, even];
    const path = points
      .map((value, k) => `${(2 + (36 * k) / (points.length - 1)).toFixed(1)} ${(17 - 14 * fit(value)).toFixed(1)}`)
      .join('L');
    const frame = { viewBox: '0 0 40 20', preserveAspectRatio: 'none', 'aria-hidden': 'true' };
    return svg('svg', frame, svg('path', { d: `M${path}` }));
  }

  const fit = value => Math.min(1, Math.max(0, value));

  function showStrip() {
    none.hidden = mixing.earlier.length > 0;
    renew(
      strip,
      mixing.earlier.map((row, k) =>
        make(
          'button',
          {
            class: 'thumb',
            'data-key': String(row.id),
            'aria-pressed': row.id === mixing.shown?.id && mixing.isPresent(row),
            'aria-label': say('desk.mix', { n: mixing.earlier.length - k, model: row.request.model }),
            title: told(row),
            onclick: () => mixing.bringBack(row),
          },
          make('img', { src: row.thumb, alt: '', loading: 'lazy' }),
          spark(row),
        ),
      ),
    );
  }

  function told({ request }) {
    const { mixture, picture } = request;
    const how = desk.offers?.methods.find(one => one.key === mixture.mix.method)?.label ?? mixture.mix.method;
    return [request.model, how, picture.prompt, `${say('field.seed')} ${picture.seed}`].join('\n');
  }

  function show() {
    showPicture();
    showStrip();
  }

  const acts = make('div', { class: 'preview-acts' });
  const node = make(
    'section',
    { class: 'preview-part' },
    make('div', { class: 'sub' }, make('span', {}, say('desk.preview')), seconds),
    picture,
    acts,
    Easel.deskPicture(),
    make('div', { class: 'sub' }, make('span', {}, say('desk.earlier')), make('span', {}, say('desk.earlier.hint'))),
    none,
    strip,
  );
  mixing.changed.on(show);
  desk.changed.on(show);
  return { node, acts, show };
};

/** How the preview is painted: its prompt in sight, the rest folded under what it is now. */
Easel.deskPicture = () => {
  const { make, icon, patch, say } = Easel;
  const { desk } = Easel;
  const FIELDS = {
    seed: [0, 4294967295, 1],
    steps: [1, 150, 1],
    cfg: [0, 30, 0.5],
    width: [64, 2048, 8],
    height: [64, 2048, 8],
  };
  const change = (name, value) => desk.change({ picture: { ...desk.state.picture, [name]: value } });
  const text = (name, rows) =>
    make('textarea', {
      rows,
      dir: 'auto',
      'aria-label': say(`field.${name}`),
      placeholder: say(`field.${name}`),
      oninput: event => change(name, event.target.value),
    });
  const prompt = text('prompt', 2);
  const negative = text('negative_prompt', 1);
  const boxes = Object.fromEntries(
    Object.entries(FIELDS).map(([name, [low, high, step]]) => [
      name,
      make('input', {
        type: 'number',
        min: low,
        max: high,
        step,
        'aria-label': say(`field.${name}`),
        onchange: event => {
          const value = event.target.valueAsNumber;
          if (Number.isFinite(value)) {
            const whole = step >= 1 ? Math.round(value / step) * step : value;
            change(name, Math.min(high, Math.max(low, whole)));
          } else show();
        },
      }),
    ]),
  );
  const dice = make(
    'button',
    {
      class: 'btn sq',
      title: say('desk.dice'),
      'aria-label': say('desk.dice'),
      onclick: () => change('seed', Math.floor(Math.random() * 2 ** 32)),
    },
    icon('dice'),
  );
  const summary = make('summary');
  const field = name => make('label', { class: 'mini' }, say(`field.${name}`), boxes[name]);
  const node = make(
    'div',
    { class: 'desk-picture' },
    prompt,
    make(
      'details',
      {},
      summary,
      negative,
      make('div', { class: 'minis' }, field('seed'), dice, ...['steps', 'cfg', 'width', 'height'].map(field)),
    ),
  );

  function show() {
    const { picture } = desk.state;
    if (document.activeElement !== prompt) prompt.value = picture.prompt;
    if (document.activeElement !== negative) negative.value = picture.negative_prompt;
    for (const [name, box] of Object.entries(boxes))
      if (document.activeElement !== box) box.value = picture[name];
    const { seed, width, height, steps } = picture;
    patch.text(summary, say('desk.picture', { seed, width, height, steps }));
  }
  desk.changed.on(show);
  show();
  return node;
};
