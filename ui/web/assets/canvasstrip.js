// What was painted on and what came of it: each picture that was painted on begins a group of its results. A press
// looks at a result; from any of them, and from any earlier picture, painting can go on: the work branches.
Easel.canvasStrip = () => {
  const { make, icon, renew, say, canvas, repaint } = Easel;
  const node = make('div', { class: 'strip works', role: 'group', 'aria-label': say('canvas.strip') });

  function source(one, k) {
    const isHere = one.id === canvas.node.id;
    const told = say('canvas.strip.source', { n: k + 1 });
    return make(
      'button',
      {
        class: 'thumb source',
        'data-key': one.id,
        'aria-pressed': isHere && repaint.view === 'mask',
        'aria-current': isHere,
        'aria-label': told,
        title: told,
        onclick: () => (isHere ? repaint.look(null) : canvas.select(one.id)),
      },
      make('img', { src: one.image ? (repaint.picture(one.image)?.thumb ?? one.source.url) : one.source.url, alt: '' }),
      make('span', { class: 'badge', 'aria-hidden': 'true' }, icon('brush', 12)),
    );
  }

  function result(id, owner, k) {
    const picture = repaint.picture(id);
    if (!picture) return null;
    const wasOpened = canvas.family().some(one => one.image === id);
    const told = say('canvas.strip.result', { n: k + 1 });
    return make(
      'button',
      {
        class: 'thumb',
        'data-key': `result-${id}`,
        'aria-pressed': repaint.shown?.id === id && repaint.view !== 'mask',
        'aria-label': told,
        title: told,
        ondblclick: () => repaint.goOn(picture),
        onclick: async () => {
          if (owner.id !== canvas.node.id) await canvas.select(owner.id);
          repaint.look(picture);
        },
      },
      make('img', { src: picture.thumb, alt: '', loading: 'lazy' }),
      wasOpened && make('span', { class: 'badge', 'aria-hidden': 'true' }, icon('next', 12)),
    );
  }

  function show() {
    const works = canvas.node ? canvas.family() : [];
    const hasMany = works.length > 1 || works.some(one => one.results.length);
    node.hidden = !hasMany;
    if (!hasMany) return;
    renew(
      node,
      works.map((one, k) => [
        k > 0 && make('i', { class: 'sep', 'data-key': `sep-${one.id}` }),
        source(one, k),
        one.results.map((id, n) => result(id, one, n)),
      ]),
    );
  }
  return { node, show };
};
