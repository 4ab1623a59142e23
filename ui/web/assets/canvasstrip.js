// What was painted on and what came of it, newest left: each picture that was painted on stands before its results. A
// press looks at a result; from any of them, and from any earlier picture, painting can go on: the work branches.
// Behind them other works wait, so that opening another picture loses nothing.
Easel.canvasStrip = () => {
  const { make, icon, renew, say, canvas, repaint } = Easel;
  const MOST_WORKS = 24;
  const node = make('div', { class: 'strip works', role: 'group', 'aria-label': say('canvas.strip') });
  let selected = '';

  const badge = name => make('span', { class: 'badge', 'aria-hidden': 'true' }, icon(name, 12));
  const face = one => (one.image && repaint.picture(one.image)?.thumb) || one.source.url;

  function source(one, k) {
    const isHere = one.id === canvas.node?.id;
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
        onclick: event => event.detail < 2 && (isHere ? repaint.look(null) : canvas.select(one.id)),
      },
      make('img', { src: face(one), alt: '' }),
      badge('brush'),
    );
  }

  function result(id, owner, k) {
    const picture = repaint.picture(id);
    if (!picture) return null;
    const wasOpened = canvas.family().some(one => one.image === id);
    const told = say(repaint.isUnseen(id) ? 'canvas.strip.unseen' : 'canvas.strip.result', { n: k + 1 });
    return make(
      'button',
      {
        class: repaint.isUnseen(id) ? 'thumb unseen' : 'thumb',
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
      wasOpened && badge('next'),
    );
  }

  function otherWork(one) {
    const told = say('canvas.strip.work', { width: one.source.width, height: one.source.height });
    return make(
      'button',
      {
        class: 'thumb other',
        'data-key': `work-${one.id}`,
        'aria-label': told,
        title: told,
        // Of a double click the first: by the second, another work may lie under the pointer.
        onclick: event => event.detail < 2 && canvas.select(one.id),
      },
      make('img', { src: face(one), alt: '', loading: 'lazy' }),
    );
  }

  function show() {
    const works = canvas.node ? canvas.family() : [];
    const others = canvas.otherWorks().slice(0, MOST_WORKS);
    node.hidden = Boolean(repaint.sample) || !(works.length || others.length);
    if (node.hidden) return;
    const groups = works.map((one, k) => [
      k < works.length - 1 && make('i', { class: 'sep', 'data-key': `sep-${one.id}` }),
      source(one, k),
      one.results.map((id, n) => result(id, one, n)).reverse(),
    ]);
    renew(
      node,
      groups.reverse(),
      others.length > 0 && make('span', { class: 'quiet', 'data-key': 'others' }, say('canvas.strip.others')),
      others.map(otherWork),
    );
    const now = node.querySelector('[aria-pressed="true"]');
    if (now && now.dataset.key !== selected) now.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    selected = now?.dataset.key ?? '';
  }
  return { node, show };
};
