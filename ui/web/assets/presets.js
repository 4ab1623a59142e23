// Presets of whole settings. props.presets: [{ name, meaning, own, values, version }];
// props.problem: why the last one was not kept.
// Which one is shown follows from the fields themselves: the preset they equal, or none.
const { make, icon, patch, say } = Easel;
const host = element.querySelector('.host');
const picker = make('select', { 'aria-label': say('preset.label'), onchange: choose });
const keep = iconButton('keep', 'preset.keep', () => edit('keep'));
const drop = iconButton('trash', 'preset.drop', () => edit('drop'));
const problem = make('p', { class: 'reason danger', role: 'alert' });
const nameBox = make('input', {
  type: 'text',
  maxlength: 60,
  'aria-label': say('preset.name'),
  placeholder: say('preset.name'),
  onkeydown: typed,
  oninput: offerSave,
});
const saveButton = textButton('preset.save', save);
let asked = null; // the preset the question is about: the fields, and with them the list, may change meanwhile
const question = make('span', { class: 'grow' });
const rows = {
  pick: make('div', { class: 'preset-row' }, make('label', { class: 'select' }, picker), keep, drop),
  keep: make(
    'div',
    { class: 'preset-row', 'data-esc': '' },
    nameBox,
    saveButton,
    textButton('preset.cancel', () => edit('pick')),
  ),
  drop: make(
    'div',
    { class: 'preset-row', 'data-esc': '', onkeydown: typed },
    question,
    textButton('preset.delete', remove),
    textButton('preset.cancel', () => edit('pick')),
  ),
};
host.append(
  make(
    'div',
    { class: 'presets' },
    make('span', { class: 'sub' }, say('preset.label')),
    ...Object.values(rows),
    problem,
  ),
);

function iconButton(name, key, onclick) {
  return make('button', { class: 'btn sq', 'aria-label': say(key), title: say(key), onclick }, icon(name));
}

function textButton(key, onclick) {
  return make('button', { class: 'btn', onclick }, say(key));
}

function offerSave() {
  asked = named();
  patch.text(saveButton, say(asked ? 'preset.replace' : 'preset.save'));
}

/** The own preset whose name stands in the box: saving replaces it. */
function named() {
  const name = nameBox.value.trim().toLowerCase();
  return props.presets.find(preset => preset.own && preset.name.toLowerCase() === name);
}

const present = () =>
  props.presets.find(preset =>
    Object.entries(preset.values).every(([name, value]) => Easel.form.values[name] === value),
  );

function edit(which) {
  for (const [name, row] of Object.entries(rows)) row.hidden = name !== which;
  if (which === 'keep') {
    nameBox.value = '';
    offerSave();
    nameBox.focus();
  }
  if (which === 'drop') {
    asked = present();
    patch.text(question, say('preset.ask', { name: asked.name }));
    rows.drop.querySelector('button').focus();
  }
  if (which === 'pick' && host.contains(document.activeElement)) picker.focus();
}

function choose() {
  const preset = listed()[picker.selectedIndex - 1];
  if (preset) Easel.form.fill(preset.values);
}

function typed(event) {
  if (event.key === 'Escape') {
    event.stopPropagation();
    edit('pick');
  }
  if (event.key === 'Enter' && event.target === nameBox) save();
}

function save() {
  if (!nameBox.value.trim()) {
    nameBox.focus();
    return;
  }
  tell({ act: 'save', name: nameBox.value.trim(), version: asked?.version ?? null });
}

function remove() {
  tell({ act: 'delete', name: asked.name, version: asked.version });
}

function tell(order) {
  props.value = order;
  trigger('order');
  edit('pick');
}

/** In the order of the list: the factory's first. */
const listed = () => [...props.presets].sort((a, b) => a.own - b.own);

function draw() {
  const group = (label, own) => {
    const options = listed()
      .filter(preset => preset.own === own)
      .map(preset => make('option', { title: preset.meaning }, preset.name));
    return options.length ? make('optgroup', { label: say(label) }, options) : null;
  };
  picker.replaceChildren(
    make('option', {}, say('preset.none')),
    ...[group('preset.factory', false), group('preset.own', true)].filter(Boolean),
  );
  patch.text(problem, props.problem ? `${props.problem.problem}; ${props.problem.fix}` : '');
  problem.hidden = !props.problem;
  show();
}

function show() {
  picker.selectedIndex = listed().indexOf(present()) + 1;
  drop.disabled = !present()?.own;
}

Easel.form.changed.on(show);
watch(['presets', 'problem'], draw);
edit('pick');
draw();
