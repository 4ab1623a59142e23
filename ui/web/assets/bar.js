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
const ASKED = ['model', 'vae', 'width', 'height', 'count', 'batch_size', 'cfg', 'precision', 'hires'];
const forecast = Easel.forecast(() =>
  props.ready ? Object.fromEntries(ASKED.map(name => [name, Easel.form.values[name]])) : null,
);
element.querySelector('.host').append(make('div', { class: 'bar-foot' }, reason, counts, button, forecast.node));

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

Easel.form.changed.on(forecast.rest);
Easel.form.onFill(() => trigger('fill'));
Easel.form.asked.on(run);
Easel.live.news.device.on(show);
Easel.live.news.connection.on(connection);
Easel.address.changed.on(show);
watch(['value', 'ready'], show);
connection(Easel.live.connected);
show();
