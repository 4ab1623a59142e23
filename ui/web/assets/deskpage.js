// The Merge page, put together: the desk on the left, the picture and what becomes of the mix on the right.
// props.samples: its states at their addresses.
const { make, icon, say } = Easel;
const parts = [Easel.deskModels(), Easel.deskBar(), Easel.mixer(), Easel.deskCheck(), Easel.deskPreview()];
const [cards, bar, mixer, check, preview] = parts;
const save = Easel.deskSave(check);
const sheets = Easel.sheets();
const finding = Easel.finding();
const toInpaint = make(
  'button',
  {
    class: 'btn sq',
    'aria-label': say('picture.repaint'),
    title: say('picture.repaint.title'),
    onclick() {
      const { shown } = Easel.mixing;
      if (shown) Easel.repaint.send({ ...shown, known: true, request: shown.request.picture });
    },
  },
  icon('inpaint'),
);
const toUpscale = make(
  'button',
  {
    class: 'btn sq',
    'aria-label': say('picture.upscale'),
    title: say('picture.upscale.title'),
    onclick() {
      const { shown } = Easel.mixing;
      if (shown) Easel.upscale.send({ ...shown, known: true, asked: shown.request, request: shown.request.picture });
    },
  },
  icon('upscale'),
);
preview.acts.append(sheets.menu.button, finding.button, toInpaint, toUpscale);

const meaning = make('span');
const rules = make('b', { hidden: true }, say('mixer.rules'));
const legend = make(
  'div',
  { class: 'legend' },
  make('span', {}, meaning, ` ${say('mixer.legend')}`),
  make('span', {}, say('mixer.legend.bars')),
  rules,
);

element.querySelector('.host').append(
  make(
    'div',
    { class: 'deskpage' },
    make(
      'section',
      { class: 'main', 'aria-label': say('tab.merge') },
      cards.node,
      bar.node,
      make('div', { class: 'desk' }, mixer.node),
      sheets.node,
      sheets.menu.node,
      finding.node,
      finding.menu,
      legend,
      check.node,
    ),
    make(
      'aside',
      { class: 'side', 'aria-label': say('desk.preview') },
      make('div', { class: 'scroll' }, preview.node, save.node),
      make('div', { class: 'foot' }, save.foot),
    ),
  ),
);

/** What the faders mean, of the method at hand. */
function explain() {
  const [upper, lower] = Easel.desk.byBlock();
  legend.hidden = !upper;
  rules.hidden = !Easel.desk.mixture().mix.elemental;
  if (lower) meaning.textContent = say('mixer.two', { upper: upper.meaning, lower: lower.meaning });
  else if (upper) meaning.textContent = upper.meaning;
}
Easel.desk.changed.on(explain);

function show() {
  for (const part of [...parts, save]) part.show();
  explain();
}

// Undo and redo, wherever the focus is on this page but in a text.
element.addEventListener('keydown', event => {
  if (!(event.ctrlKey || event.metaKey) || event.target.closest('textarea, input[type="text"]')) return;
  const key = event.key.toLowerCase();
  if (key !== 'z' && key !== 'y') return;
  event.preventDefault();
  if (key === 'y' || event.shiftKey) Easel.desk.redo();
  else Easel.desk.undo();
});
function pretend() {
  Easel.mixing.pretend(props.samples[Easel.address.of('merge')] ?? null);
}
Easel.address.changed.on(pretend);
Easel.mixing
  .begin()
  .then(() => {
    show();
    pretend();
  })
  .catch(error => console.warn(error));
