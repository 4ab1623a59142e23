// Presets of whole settings. props.presets: [{ name, meaning, own, values, version }];
// props.problem: why the last one was not kept { problem, fix }; {}: it was.
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
  oninput: () => {
    problem.hidden = true;
    offerSave();
  },
});
const saveButton = textButton('preset.save', save);
let chosen = Easel.memory.get('preset'); // { name, own } of the one chosen or saved last: it wins over equal ones
let isSaving = false; // until the answer: a refused name stays in its box
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

const isSame = (one, other) => one === other || JSON.stringify(one) === JSON.stringify(other);
const isChosen = preset => preset.name === chosen?.name && preset.own === chosen.own;

function present() {
  const equal = props.presets.filter(preset =>
    Object.entries(preset.values).every(([name, value]) => isSame(Easel.form.values[name], value)),
  );
  return equal.find(isChosen) ?? equal[0];
}

function remember(preset) {
  chosen = preset && { name: preset.name, own: preset.own };
  Easel.memory.set('preset', chosen);
}

function edit(which) {
  for (const [name, row] of Object.entries(rows)) row.hidden = name !== which;
  problem.hidden = true;
  if (which === 'keep') {
    nameBox.value = (chosen?.own && props.presets.find(isChosen)?.name) || '';
    offerSave();
    nameBox.select();
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
  problem.hidden = true;
  if (!preset) return;
  remember(preset);
  Easel.form.fill(preset.values);
}

function typed(event) {
  if (event.key === 'Escape') {
    event.stopPropagation();
    edit('pick');
  }
  if (event.key === 'Enter' && event.target === nameBox) {
    event.preventDefault(); // or the list, which takes the focus, opens
    save();
  }
}

function save() {
  if (!nameBox.value.trim()) {
    nameBox.focus();
    return;
  }
  isSaving = true;
  tell({ act: 'save', name: nameBox.value.trim(), version: asked?.version ?? null });
}

function remove() {
  tell({ act: 'delete', name: asked.name, version: asked.version });
  edit('pick');
}

function tell(order) {
  props.value = order;
  trigger('order');
}

/** What became of the order. */
function hear() {
  if (isSaving && !props.problem.problem) {
    const name = nameBox.value.trim().toLowerCase();
    remember(props.presets.find(preset => preset.own && preset.name.toLowerCase() === name));
    edit('pick');
  }
  isSaving = false;
  draw();
  const { problem: what, fix } = props.problem;
  patch.text(problem, what ? `${what}; ${fix}` : '');
  problem.hidden = !what;
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
  show();
}

function show() {
  picker.selectedIndex = listed().indexOf(present()) + 1;
  drop.disabled = !present()?.own;
}

Easel.form.changed.on(show);
watch(['presets', 'problem'], hear);
edit('pick');
draw();
