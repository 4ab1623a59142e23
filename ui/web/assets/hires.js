// A second pass over the enlarged picture. props.value: { factor, upscaler, strength, steps, ... } as the request has
// it, or null: none. props.choices: [{ name, group }], the upscalers there are.
const { make, patch, say } = Easel;
const FIRST = { factor: 2, upscaler: 'lanczos', strength: 0.5, steps: 0 };
const OWN = ['cfg', 'sampler', 'prompt', 'negative_prompt']; // of a picture that was opened again
const hold = change => {
  const next = { ...(props.value ?? remembered()), ...change };
  Easel.memory.set('hires', Object.fromEntries(Object.keys(FIRST).map(key => [key, next[key]])));
  props.value = next;
  told();
};
const remembered = () => ({ ...FIRST, ...Easel.memory.get('hires') });
const now = key => (props.value ?? remembered())[key] ?? FIRST[key];

const isOn = Easel.fields.toggle({
  label: say('hires.on'),
  get: () => Boolean(props.value),
  set(on) {
    if (on) hold({});
    else {
      props.value = null;
      told();
    }
  },
});
const slider = (key, label, limits) =>
  Easel.fields.slider({
    label,
    limits,
    drag: key === 'steps' ? { low: 0, high: 60 } : limits,
    id: `hires-${key}`,
    get: () => now(key),
    set: value => hold({ [key]: value }),
  });
const sliders = [
  slider('factor', say('hires.factor'), { low: 1, high: 4, step: 0.05 }),
  slider('strength', say('hires.strength'), { low: 0, high: 1, step: 0.05 }),
  slider('steps', say('hires.steps'), { low: 0, high: 1000, step: 1 }),
];
const list = make('select', { id: 'hires-upscaler', onchange: event => hold({ upscaler: event.target.value }) });
const upscaler = make(
  'div',
  { class: 'choice' },
  make('label', { for: 'hires-upscaler' }, say('field.upscaler')),
  make('div', { class: 'select' }, list),
);
const own = make('p', { class: 'hint' });
const settings = make('div', { class: 'inside' }, sliders[0].node, upscaler, ...sliders.slice(1).map(s => s.node), own);
const fold = Easel.fields.fold({
  id: 'hires-fold',
  label: () => say('hires.label', { value: summary() }),
  fields: [isOn, settings],
});
element.querySelector('.host').append(fold.node);

/** Width and height of what comes out, as the request rounds them. */
function size() {
  const side = name => Math.floor((Easel.form.values[name] * now('factor')) / 8 + 0.5) * 8;
  return `${side('width')} × ${side('height')}`;
}

function summary() {
  return props.value ? say('hires.size', { factor: now('factor'), size: size() }) : say('hires.off');
}

function told() {
  trigger('input');
  trigger('change');
  show();
}

function draw() {
  const name = now('upscaler');
  const missing = props.choices.some(one => one.name === name) ? [] : [{ name, group: '' }]; // the request says why
  const groups = Map.groupBy([...props.choices, ...missing], one => one.group);
  list.replaceChildren(
    ...[...groups].flatMap(([group, some]) => {
      const options = some.map(one => make('option', { value: one.name }, label(one.name)));
      return group ? [make('optgroup', { label: group }, options)] : options;
    }),
  );
}

const label = name => (name === 'latent' ? say('hires.latent') : Easel.upscaleName(name));

function show() {
  settings.hidden = !props.value;
  if (![...list.options].some(one => one.value === now('upscaler'))) draw();
  list.value = now('upscaler');
  for (const one of sliders) one.show();
  const kept = OWN.filter(key => props.value?.[key] !== undefined && ![null, ''].includes(props.value[key]));
  patch.text(own, kept.length ? say('hires.own', { value: kept.map(key => say(`field.${key}`)).join(', ') }) : '');
  own.hidden = !kept.length;
  fold.show();
}

watch('choices', () => {
  draw();
  show();
});
watch('value', show);
Easel.form.changed.on(show);
draw();
show();
