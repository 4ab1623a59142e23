// The right end of the header: memory gauge, queue, theme.
const { make, icon, patch, say } = Easel;
const label = make('span'),
  memory = make('b'),
  track = make('i', { role: 'meter', 'aria-label': say('device.gauge'), 'aria-valuemin': 0, 'aria-valuemax': 100 });
const gauge = make('div', { class: 'gauge' }, label, memory, track);
const count = make('span');
const pill = make(
  'button',
  { class: 'pill', 'aria-haspopup': 'true', 'aria-expanded': 'false', onclick: toggle },
  make('i'),
  count,
);
const list = make('div', {
  class: 'queue-list',
  role: 'group',
  'aria-label': say('queue.label'),
  'data-esc': '',
  hidden: true,
});
const theme = make(
  'button',
  { class: 'btn sq', 'aria-label': say('theme.toggle'), title: say('theme.toggle'), onclick: Easel.theme.toggle },
  icon('sun'),
);
element
  .querySelector('.host')
  .append(make('div', { class: 'status' }, gauge, make('div', { class: 'queue' }, pill, list), theme));

function toggle() {
  setOpen(list.hidden);
}

function setOpen(open) {
  list.hidden = !open;
  pill.setAttribute('aria-expanded', open);
  if (open) drawList();
}

const nothing = make('p', { class: 'quiet' }, say('queue.nothing'));
const rows = new Map(); // job -> its row: only patched while the job goes on, so that its button can be pressed

function drawList() {
  if (list.hidden) return;
  const { jobs } = Easel.live;
  const focused = list.contains(document.activeElement) && document.activeElement;
  for (const job of rows.keys()) if (!jobs.has(job)) rows.delete(job);
  for (const view of jobs.values()) {
    if (!rows.has(view.job)) rows.set(view.job, row(view.job));
    rows.get(view.job).update(view);
  }
  const wanted = jobs.size ? [...jobs.keys()].map(job => rows.get(job).node) : [nothing];
  const isSame = list.children.length === wanted.length && wanted.every((node, k) => node === list.children[k]);
  if (!isSame) list.replaceChildren(...wanted);
  if (focused) (focused.isConnected ? focused : pill).focus(); // not the next button: it would stop another job
}

function row(job) {
  const prompt = make('b', { dir: 'auto' });
  const line = make('small');
  const stop = make('button', { class: 'btn sq', onclick: () => Easel.live.stop(job, 'now') }, icon('close'));
  return {
    node: make('div', { class: 'queue-row' }, make('span', { class: 'grow' }, prompt, line), stop),
    update(view) {
      const name = view.prompt || say('queue.untitled');
      const isWaiting = view.stage === 'queued';
      patch.text(prompt, name);
      patch.text(line, [view.title, view.line].filter(Boolean).join(' · '));
      patch.attribute(stop, 'aria-label', say(isWaiting ? 'queue.remove' : 'queue.stop', { prompt: name }));
      patch.attribute(stop, 'title', say(isWaiting ? 'queue.remove.title' : 'stage.stop_now'));
    },
  };
}

function showDevice(view) {
  gauge.hidden = !view;
  if (!view) return;
  patch.text(label, view.label);
  patch.text(memory, view.memory);
  track.style.setProperty('--p', `${view.share * 100}%`);
  patch.attribute(track, 'aria-valuenow', Math.round(view.share * 100));
  patch.attribute(track, 'aria-valuetext', view.memory || view.label);
  pill.classList.toggle('busy', view.queue > 0);
  patch.text(count, view.queue_text);
}

Easel.live.news.device.on(showDevice);
Easel.live.news.connection.on(isThere => {
  pill.classList.toggle('lost', !isThere);
  if (!isThere) patch.text(count, say('queue.lost'));
  else showDevice(Easel.live.device);
});
Easel.live.news.job.on(drawList);
document.addEventListener('click', event => {
  if (!list.hidden && !event.target.closest('.queue')) setOpen(false);
});
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && !list.hidden) {
    setOpen(false);
    pill.focus();
  }
});
showDevice(Easel.live.device);
