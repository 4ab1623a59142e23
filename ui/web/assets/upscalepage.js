// The Upscale page, put together: source and result on the left, how to enlarge it on the right.
// props.samples: its states at their addresses.
const { make, icon, say, upscale } = Easel;
const files = Easel.upscaleFiles;
const view = Easel.upscaleView();
const looks = Easel.upscaleViews(view);
const result = Easel.upscaleResult();
const list = Easel.upscaleFileList();
const side = Easel.upscaleSide();
const foot = Easel.upscaleFoot();
Easel.upscaleHand(view);

Object.assign(view.node, { tabIndex: 0 });
view.node.setAttribute('role', 'group');
view.node.setAttribute('aria-label', say('upscale.label'));
view.node.setAttribute('aria-describedby', 'upscale-keys');
view.node.append(looks.node, make('p', { class: 'spoken', id: 'upscale-keys' }, say('upscale.keys')));

// Bringing pictures

const TYPES = 'image/png,image/jpeg,image/webp,image/avif';
const input = more => {
  const node = make('input', { type: 'file', multiple: '', hidden: true, ...more });
  node.addEventListener('change', () => {
    const chosen = [...node.files];
    node.value = '';
    files.open(chosen);
  });
  return node;
};
const file = input({ accept: TYPES });
const folder = input({});
folder.webkitdirectory = true;
const last = make('button', { class: 'btn' }, say('upscale.last'));
last.addEventListener('click', () => newest() && upscale.openImage(newest()));
const newest = () => Easel.pictures.list.find(one => !one.missing);
const latest = Easel.lastPictures({
  label: prompt => say('upscale.take', { prompt }),
  onChoose: upscale.openImage,
});
const invite = make(
  'div',
  { class: 'invite drop' },
  icon('upscale', 48),
  make('h2', {}, say('upscale.empty')),
  make('p', {}, say('upscale.empty.text')),
  make(
    'div',
    { class: 'ideas' },
    make('button', { class: 'btn solid', onclick: () => file.click() }, say('canvas.open')),
    make('button', { class: 'btn', onclick: () => folder.click() }, say('upscale.folder')),
    last,
  ),
  latest.node,
);
view.node.append(invite, file, folder);

function showInvite(stage) {
  invite.hidden = stage.name !== 'empty' || files.rows.length > 0;
  if (invite.hidden) return;
  last.hidden = !newest();
  latest.show();
}

const opener = make(
  'div',
  { class: 'float openers' },
  [
    [file, 'open', say('canvas.open')],
    [folder, 'files', say('upscale.folder')],
  ].map(([from, name, label]) =>
    make('button', { class: 'btn sq', 'aria-label': label, title: label, onclick: () => from.click() }, icon(name, 18)),
  ),
);
view.node.append(opener);

// What goes on, and what went wrong

const progress = Easel.views.progress({ onStop: mode => upscale.stop(mode) });
const error = Easel.views.error({
  onFix: fix => {
    upscale.dismiss();
    fix.act?.();
  },
});
error.node.append(make('button', { class: 'btn close', onclick: upscale.dismiss }, say('canvas.dismiss')));
const ready = make('div', { class: 'hud ready' }, make('div', { class: 'grow' }, make('b'), make('span')));
const bar = make('i', { class: 'stagebar', hidden: true });
view.node.append(progress.node, result.node, ready, error.node, bar);

function showWork(stage) {
  const isRunning = stage.name === 'running' && (Easel.live.connected || Boolean(upscale.sample));
  progress.node.hidden = !isRunning;
  if (isRunning) progress.update(stage.view);
  error.node.hidden = stage.name !== 'error';
  if (stage.name === 'error') error.update({ view: stage.view });
  ready.hidden = stage.name !== 'source';
  if (stage.name === 'source') showReady(stage.before);
}

/** The picture that waits to be enlarged: its name and size. */
function showReady({ name, width, height }) {
  const [title, line] = ready.firstChild.children;
  Easel.patch.text(title, name || say('upscale.source'));
  Easel.patch.text(line, `${width} × ${height}`);
}

// Pictures that are dropped or pasted

const isShown = () => Boolean(view.node.offsetParent);
Easel.landing({
  node: view.node,
  zones: { picture: say('upscale.drop') },
  onDrop: async transfer => files.open(await dropped(transfer)),
  onPaste: files.open,
});

/** The files, and those in folders that were dropped. */
async function dropped(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some(entry => entry.isDirectory)) return [...transfer.files];
  return (await Promise.all(entries.map(within))).flat();
}

async function within(entry) {
  if (entry.isFile) return [await new Promise((resolve, fail) => entry.file(resolve, fail))];
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, fail) => reader.readEntries(resolve, fail)); // a hundred at a time
    if (!some.length) return (await Promise.all(all.map(within))).flat();
    all.push(...some);
  }
}

// Results

const strip = Easel.strip({
  onChoose: id => upscale.choose(upscale.results().find(one => one.id === id)),
  onLive: upscale.follow,
  name: ({ width, height, asked }) =>
    say('upscale.strip.result', { width, height, name: Easel.upscaleName(asked.upscaler) }),
  empty: say('upscale.strip.empty'),
});
const ENOUGH = 12; // results that are looked for among all pictures, further back if need be
let looked = 0;
function showStrip(stage) {
  const found = upscale.sample ? [stage.after].filter(Boolean) : upscale.results();
  strip.setPictures(found);
  const live = upscale.sample ? null : upscale.present();
  strip.setLive(live?.view ?? null, live && (Easel.live.preview(live.job) ?? live.source?.url));
  strip.select(stage.name === 'done' ? stage.after.id : null);
  if (isShown() && found.length < ENOUGH && looked < 5 && Easel.pictures.older()) looked += 1;
}

element.querySelector('.host').append(
  make(
    'div',
    { class: 'upscalepage' },
    make('section', { class: 'main', 'aria-label': say('tab.upscale') }, view.node, list.node, strip.node),
    make('aside', { class: 'side', 'aria-label': say('upscale.settings') }, side.node, foot.node),
  ),
);

let isStale = true; // something has changed while the page was not shown
function show() {
  isStale = !isShown();
  if (isStale) return; // typing elsewhere must not wait for it
  const stage = upscale.stage();
  view.node.dataset.stage = stage.name;
  list.show();
  view.node.classList.toggle('with-files', !list.node.hidden);
  opener.hidden = stage.name === 'empty';
  for (const part of [side, foot]) part.show();
  for (const part of [looks, result]) part.show(stage);
  showInvite(stage);
  showWork(stage);
  view.show(stage);
  showStrip(stage);
}

Easel.escapeUpscale = () => {
  if (upscale.problem) upscale.dismiss();
  else upscale.stop('now');
};

/** Where the picture lies, for whoever points at it from outside. */
Easel.upscaleAt = () => view.at;

const pretend = () => upscale.pretend(props.samples[Easel.address.of('upscale')] ?? null);
Easel.address.changed.on(pretend);
new ResizeObserver(() => isStale && show()).observe(view.node);
upscale.changed.on(show);
Easel.upscaleForecast.changed.on(show);
Easel.form.changed.on(show);
Easel.live.news.connection.on(show);
upscale.begin().then(files.settle).catch(console.warn);
pretend();
show();
