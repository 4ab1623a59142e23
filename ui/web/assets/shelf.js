// The Models page: search, filters, cards, and the chosen model's side.
const { make, icon, patch, renew, say } = Easel;
const { models } = Easel;
const AT_ONCE = 120; // cards that are drawn before more are asked for by scrolling
const FILTERS = {
  all: model => !model.hidden,
  checkpoint: model => !model.hidden && (model.kind === 'checkpoint' || model.kind === 'unet'),
  lora: model => !model.hidden && model.kind === 'lora',
  embedding: model => !model.hidden && model.kind === 'embedding',
  vae: model => !model.hidden && model.kind === 'vae',
  upscaler: model => !model.hidden && model.kind === 'upscaler',
  problem: model => !model.hidden && model.problem,
  hidden: model => model.hidden,
};
let filter = 'all',
  chosen = null,
  shown = AT_ONCE;

const search = make('input', {
  type: 'search',
  placeholder: say('models.find'),
  'aria-label': say('models.find'),
  oninput: () => {
    shown = AT_ONCE;
    draw();
  },
});
const filters = make('div', { class: 'seg', tabindex: -1, role: 'group', 'aria-label': say('models.filter') });
const scanButton = make('button', { class: 'btn', onclick: scan }, icon('again'), say('models.scan'));
const downloads = Easel.downloads();
const cards = make('div', { class: 'cards', tabindex: -1, role: 'group', 'aria-label': say('tab.models') });
const empty = make('p', { class: 'nothing' });
const problem = make('p', { class: 'reason danger', role: 'alert', hidden: true });
const grid = make('div', { class: 'grid', onscroll: more }, problem, cards, empty);
const side = Easel.modelSide({ onChoose: choose });
element
  .querySelector('.host')
  .append(
    make(
      'div',
      { class: 'models' },
      make(
        'section',
        { class: 'list' },
        make(
          'header',
          {},
          make('h2', {}, say('tab.models')),
          make('div', { class: 'search' }, icon('search'), search, make('kbd', {}, '/')),
          filters,
          downloads.button,
          scanButton,
        ),
        downloads.node,
        grid,
      ),
      side.node,
    ),
  );

const words = model =>
  [model.name, model.family, model.detail, model.kind, ...model.tags, ...model.triggers].join(' ').toLowerCase();

function wanted() {
  const parts = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  return models.list
    .filter(FILTERS[filter])
    .filter(model => parts.every(part => words(model).includes(part)))
    .sort((a, b) => b.favourite - a.favourite);
}

function draw() {
  drawFilters();
  const list = wanted();
  const place = [...cards.children].findIndex(node => node.dataset.key === chosen);
  renew(cards, list.slice(0, shown).map(card));
  empty.hidden = list.length > 0;
  patch.text(empty, models.list.length ? say('models.none') : say('models.empty'));
  showSide(cards.children[Math.min(Math.max(place, 0), cards.children.length - 1)]);
}

/** The chosen model beside the cards; without one the focus goes from there to a card. */
function showSide(neighbour) {
  const hadFocus = side.node.contains(document.activeElement);
  side.show(models.list.find(model => model.name === chosen) ?? null);
  if (hadFocus && side.node.hidden) (neighbour ?? search).focus();
}

function drawFilters() {
  const counts = Object.entries(FILTERS).map(([name, fits]) => [name, models.list.filter(fits).length]);
  if (!counts.find(([name, count]) => name === filter && count)) filter = 'all';
  renew(
    filters,
    counts
      .filter(([name, count]) => name === 'all' || count)
      .map(([name, count]) =>
        make(
          'button',
          {
            'data-key': name,
            'aria-pressed': name === filter,
            onclick: () => {
              filter = name;
              shown = AT_ONCE;
              draw();
            },
          },
          `${say(`models.${name}`)} ${count}`,
        ),
      ),
  );
}

const inUse = model => Easel.form.values.model === model.name;

function card(model) {
  const busy = models.workOn(model.name);
  const body = make(
    'div',
    { class: 'facts' },
    make('b', { class: 'name', title: model.name }, model.favourite && icon('keep', 14), model.name),
    model.damaged
      ? make('p', { class: 'reason danger' }, `${model.problem.problem}; ${model.problem.fix}`)
      : [
          make('div', { class: 'tags' }, models.tags(model)),
          make('p', { class: 'reason' }, model.problem?.problem ?? models.line(model, inUse(model))),
        ],
    busy && make('div', { class: 'work', '--p': `${busy.share * 100}%` }, make('span', {}, busy.title), make('i', {})),
  );
  return make(
    'button',
    {
      class: `card${inUse(model) ? ' used' : ''}`,
      'aria-pressed': model.name === chosen,
      'data-key': model.name,
      'data-name': model.name,
      onclick: () => choose(model.name),
    },
    models.face(model),
    body,
  );
}

function choose(name) {
  chosen = chosen === name ? null : name;
  for (const node of cards.children) patch.attribute(node, 'aria-pressed', node.dataset.key === chosen);
  showSide([...cards.children].find(node => node.dataset.key === name));
}

function more() {
  if (grid.scrollTop + grid.clientHeight < grid.scrollHeight - 600 || shown >= wanted().length) return;
  shown += AT_ONCE;
  const list = wanted();
  cards.append(...list.slice(cards.children.length, shown).map(card));
}

async function scan() {
  scanButton.disabled = true;
  problem.hidden = true;
  try {
    await models.scan();
  } catch (error) {
    patch.text(problem, `${error.problem ?? error.message}; ${error.fix ?? ''}`);
    problem.hidden = false;
  }
  scanButton.disabled = false;
}

addEventListener('keydown', event => {
  const isTyping = event.target.closest?.('input, textarea, select');
  if (event.key === '/' && !isTyping && search.offsetParent) {
    event.preventDefault();
    search.focus();
  }
});
models.renamed.on((from, to) => {
  if (chosen === from) chosen = to;
});
models.changed.on(draw);
Easel.live.news.models.on(() => search.offsetParent && models.refresh().catch(console.warn));
models.worked.on(draw);
let inMemory = '';
Easel.live.news.device.on(device => {
  if (inMemory !== (inMemory = String(device?.models)) && search.offsetParent) draw();
});
Easel.form.changed.on(() => search.offsetParent && draw());
new IntersectionObserver(seen => seen.some(one => one.isIntersecting) && models.refresh().catch(console.warn)).observe(
  element,
);
