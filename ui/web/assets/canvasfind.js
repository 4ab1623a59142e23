// A mask from words: a model that finds what is named in the picture, when the studio has one. What it finds is added
// to the mask at hand, as one step.
Easel.canvasFind = () => {
  const { make, patch, say, ask, canvas, repaint } = Easel;
  let job = null, // { id, node }
    told = '',
    isBad = false;
  const text = make('input', {
    type: 'search',
    class: 'words',
    'aria-label': say('canvas.find'),
    placeholder: say('canvas.find.hint'),
    onkeydown: event => {
      if (event.key === 'Enter') run();
    },
  });
  const models = make('select', { 'aria-label': say('field.model') });
  const chooser = make('div', { class: 'select' }, models);
  const go = make('button', { class: 'btn', onclick: run }, say('canvas.find.go'));
  const line = make('p', { class: 'quiet', role: 'status' });
  const node = make('div', { class: 'finder' }, make('div', { class: 'acts' }, text, go), chooser, line);

  const known = () => Easel.models.list.filter(one => one.kind === 'segmenter' && !one.problem && !one.hidden);

  async function run() {
    if (job || !text.value.trim() || !canvas.node || !known().length) return;
    const order = { kind: 'segment', model: models.value, source: canvas.node.source.id, text: text.value };
    tell(say('canvas.find.looking'));
    try {
      const { id } = await ask('api/jobs', repaint.post(order));
      job = { id, node: canvas.node.id };
      const seen = Easel.live.latest(id);
      if (seen) await hear(seen);
    } catch (error) {
      tell([error.problem ?? error.message, error.fix].filter(Boolean).join('; '), true);
    }
    show();
  }

  async function hear(view) {
    if (view.job !== job?.id || !Easel.live.hasEnded(view)) return;
    const { node: wanted } = job;
    job = null;
    try {
      if (!view.mask) tell([view.title, view.line].filter(Boolean).join('; '), Boolean(view.problem));
      else if (canvas.node?.id === wanted) {
        const answer = await fetch(new URL(`api/sources/${view.mask}`, document.baseURI));
        await canvas.loadMask(await answer.blob(), { adds: true });
        tell(say('canvas.find.found', { text: text.value.trim() }));
      }
    } catch (error) {
      tell(error.problem ?? error.message, true);
    }
    show();
  }

  function tell(words, bad = false) {
    told = words;
    isBad = bad;
    show();
  }

  function show() {
    const offered = known();
    const names = offered.map(one => one.name);
    if ([...models.options].map(one => one.value).join('\n') !== names.join('\n'))
      models.replaceChildren(...names.map(name => make('option', { value: name }, name)));
    chooser.hidden = names.length < 2;
    text.disabled = go.disabled = !names.length || Boolean(job);
    patch.text(line, names.length ? told : say('canvas.find.none'));
    line.classList.toggle('danger', isBad);
    line.hidden = !line.textContent;
  }

  Easel.live.news.model.on(view => hear(view).catch(console.warn));
  Easel.models.changed.on(show);
  show();
  return { node };
};
