// The foot of the column: how many pictures, and Generate. props.value: the count; props.counts: the ones offered.
const { make, patch, say } = Easel;
const counts = make(
  'div',
  { class: 'seg', role: 'group', 'aria-label': say('bar.count') },
  props.counts.map(n => make('button', { 'data-n': n, onclick: () => choose(n) }, String(n))),
);
const label = make('span');
const button = make(
  'button',
  { id: 'generate', class: 'btn solid primary', onclick: run },
  label,
  make('small', { class: 'hint' }, say('bar.keys')),
);
const reason = make('p', { class: 'reason', role: 'status' });
const needs = make('p', { class: 'needs', role: 'status' });
element.querySelector('.host').append(make('div', { class: 'bar-foot' }, reason, counts, button, needs));

function choose(n) {
  props.value = n;
  trigger('input');
  show();
}

function run() {
  if (button.disabled) return;
  Easel.form.blame(null);
  trigger('run');
}

/** Why nothing can be painted just now; empty when it can. */
function obstacle() {
  if (Easel.address.of('generate') === 'disabled') return say('disabled.sample');
  if (!props.ready) return say('disabled.no_model');
  if (isCutOff) return say('disabled.connection');
  return Easel.live.device?.problem?.problem ?? '';
}

function show() {
  const why = obstacle();
  patch.text(label, props.value === 1 ? say('bar.generate') : say('bar.generate_n', { n: props.value }));
  patch.text(reason, why);
  reason.hidden = !why;
  button.disabled = Boolean(why);
  for (const one of counts.children) patch.attribute(one, 'aria-pressed', Number(one.dataset.n) === props.value);
}

const GRACE = 1500; // a connection that comes back at once is not worth a word
let isCutOff = false,
  grace = 0;
function connection(now) {
  clearTimeout(grace);
  if (now) {
    isCutOff = false;
    show();
  } else
    grace = setTimeout(() => {
      isCutOff = true;
      show();
    }, GRACE);
}

/** What the picture will need of the device's memory; asked once the fields have come to rest, and when room came. */
const ASKED = ['model', 'vae', 'width', 'height', 'count', 'batch_size', 'cfg', 'precision'];
const gigabytes = bytes => (bytes < 10e9 ? (bytes / 1e9).toFixed(1) : Math.round(bytes / 1e9));
const amount = bytes => (bytes < 1e8 ? `${Math.ceil(bytes / 1e6)} MB` : gigabytes(bytes));
const PAUSE = 2000; // at least, between two questions about the same fields
let resting = 0,
  asking = null,
  askedAt = -PAUSE,
  lastAsked = '';
function forecast() {
  clearTimeout(resting);
  resting = setTimeout(askForecast, 300);
}

function forecastAnew() {
  if (performance.now() - askedAt >= PAUSE) askForecast();
}

async function askForecast() {
  const fields = Object.fromEntries(ASKED.map(name => [name, Easel.form.values[name]]));
  const device = Easel.live.device;
  const key = JSON.stringify([fields, device?.label, device?.memory]);
  if (!device?.memory || device.problem || !props.ready || !fields.model || key === lastAsked) return;
  lastAsked = key;
  askedAt = performance.now();
  asking?.abort();
  asking = new AbortController();
  try {
    const headers = { 'Content-Type': 'application/json' };
    const answer = await fetch('/api/forecast', {
      method: 'POST',
      headers,
      body: JSON.stringify(fields),
      signal: asking.signal,
    });
    if (answer.status >= 500) lastAsked = ''; // asked again at the device's next news
    showForecast(answer.ok ? await answer.json() : null);
  } catch (error) {
    if (error.name !== 'AbortError') lastAsked = ''; // cut off, not overtaken by a newer question
  }
}

function showForecast(told) {
  const isTight = told !== null && told.needs > told.room;
  patch.text(needs, told ? (isTight ? tooMuch(told) : howItFits(told)) : '');
  needs.classList.toggle('danger', isTight);
}

const tooMuch = ({ needs, room }) => say('bar.too_much', { needs: gigabytes(needs), room: gigabytes(room) });

const howItFits = told =>
  [
    say('bar.needs', { needs: amount(told.needs), room: gigabytes(told.room) }),
    told.placement !== 'whole' && say(`bar.needs.${told.placement}`),
    told.tiled && say('bar.needs.tiled'),
    told.at_once < Math.min(Easel.form.values.batch_size, props.value) && say('bar.needs.single'),
  ]
    .filter(Boolean)
    .join('; ');

Easel.form.changed.on(forecast);
Easel.live.news.device.on(forecastAnew);
Easel.models.offered.on(() => {
  lastAsked = ''; // the model may be whole now
  forecast();
});
Easel.form.onFill(() => trigger('fill'));
Easel.form.asked.on(run);
Easel.live.news.device.on(show);
Easel.live.news.connection.on(connection);
Easel.address.changed.on(show);
watch(['value', 'ready'], show);
connection(Easel.live.connected);
show();
