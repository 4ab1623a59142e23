// A number with its label, and a slider where one helps. What was typed stays, also when it is no number.
// props: value, label, limits { low, high, whole }, drag { low, high, step } or null.
const { make } = Easel;
const host = element.querySelector('.host');
const step = props.drag?.step ?? props.limits.multiple_of ?? 1;
const name = `${element.id || props.label}-input`;

const box = make('input', { type: 'text', id: name, inputmode: 'decimal', autocomplete: 'off', spellcheck: 'false' });
const track =
  props.drag &&
  make('input', {
    type: 'range',
    class: 'ez',
    min: props.drag.low,
    max: props.drag.high,
    step,
    'aria-label': props.label,
  });
host.append(
  make(
    'div',
    { class: track ? 'number with-track' : 'number' },
    make('label', { for: name }, props.label),
    box,
    track,
  ),
);

/** The typed text as a number, or the text itself: the request says what is wrong with it. */
function read(text) {
  const plain = text.trim().replace(',', '.');
  const number = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(plain) ? Number(plain) : NaN;
  return Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : text.trim(); // a longer one would change its digits
}

function set(value) {
  props.value = value;
  fit();
  trigger('input');
}

function fit() {
  if (!track) return;
  const { low, high } = props.drag,
    value = Number(props.value);
  if (Number.isNaN(value)) return;
  track.value = value;
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  track.style.setProperty('--range_progress', `${share * 100}%`);
}

function nudge(event) {
  const by = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
  const value = read(box.value);
  if (!by || typeof value !== 'number') return;
  event.preventDefault();
  const { low, high } = props.limits;
  const moved = Math.min(high ?? Infinity, Math.max(low ?? -Infinity, value + by * step));
  box.value = String(Number(moved.toFixed(4)));
  set(read(box.value));
}

box.addEventListener('input', () => set(read(box.value)));
box.addEventListener('keydown', nudge);
box.addEventListener('focus', () => box.select());
track?.addEventListener('input', () => {
  box.value = track.value;
  set(Number(track.value));
});

function show() {
  if (document.activeElement !== box || read(box.value) !== props.value) box.value = String(props.value ?? '');
  fit();
}
watch('value', show);
show();
