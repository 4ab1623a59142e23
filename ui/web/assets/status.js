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

function drawList() {
  if (list.hidden) return;
  const jobs = [...Easel.live.jobs.values()];
  const focused = list.contains(document.activeElement) && document.activeElement.dataset.job;
  list.replaceChildren(...(jobs.length ? jobs.map(row) : [make('p', { class: 'quiet' }, say('queue.nothing'))]));
  if (focused) (list.querySelector(`[data-job="${CSS.escape(focused)}"]`) ?? pill).focus();
}

function row(view) {
  const isWaiting = view.stage === 'queued';
  const stop = make(
    'button',
    {
      class: 'btn sq',
      'data-job': view.job,
      'aria-label': say(isWaiting ? 'queue.remove' : 'queue.stop', { prompt: view.prompt || say('queue.untitled') }),
      title: say(isWaiting ? 'queue.remove.title' : 'stage.stop_now'),
      onclick: () => Easel.live.stop(view.job, 'now'),
    },
    icon('close'),
  );
  return make(
    'div',
    { class: 'queue-row' },
    make(
      'span',
      { class: 'grow' },
      make('b', { dir: 'auto' }, view.prompt || say('queue.untitled')),
      make('small', {}, [view.title, view.line].filter(Boolean).join(' · ')),
    ),
    stop,
  );
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
