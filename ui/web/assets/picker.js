// One model of many: a button, and a list under it that is searched by typing and grouped by family.
// props.value: the name; props.choices: [{ name, group, note }]; props.label; props.bare: the label is only spoken;
// props.none: what no model means, where that may be chosen.
const { make, icon, patch, say } = Easel;
const AT_ONCE = 200; // rows that are drawn; typing finds the others
const id = element.id || 'picker';

const shown = make('span', { class: 'chosen' });
const button = make(
  'button',
  {
    id: `${id}-input`,
    class: 'pick',
    type: 'button',
    'aria-haspopup': 'listbox',
    'aria-expanded': 'false',
    onclick: toggle,
  },
  shown,
);
const search = make('input', {
  type: 'search',
  role: 'combobox',
  'aria-controls': `${id}-list`,
  'aria-expanded': 'true',
  'aria-autocomplete': 'list',
  'aria-label': say('models.find'),
  placeholder: say('models.find'),
  autocomplete: 'off',
  oninput: () => draw(),
  onkeydown: keys,
});
const list = make('div', { id: `${id}-list`, role: 'listbox', class: 'options', 'aria-label': props.label });
const popup = make(
  'div',
  { class: 'picker-popup', hidden: true, 'data-esc': '' },
  make('div', { class: 'search' }, icon('search'), search),
  list,
);
const host = make(
  'div',
  { class: 'choice picker' },
  !props.bare && make('label', { for: `${id}-input` }, props.label),
  make('div', { class: 'select' }, button),
  popup,
);
element.querySelector('.host').append(host);

let rows = [], // the options drawn, in order
  at = -1; // the one the arrows are on


/** All that may be chosen; the present value too if it is not offered: the request says what is wrong with it. */
function offered() {
  const none = props.none ? [{ name: '', label: props.none, group: '', note: '' }] : [];
  const all = [...none, ...props.choices];
  const isThere = !props.value || all.some(({ name }) => name === props.value);
  return isThere ? all : [...all, { name: props.value, group: '', note: '' }];
}

function wanted() {
  const parts = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  return offered().filter(({ name, group, note, label }) => {
    const words = `${label ?? name} ${group} ${note}`.toLowerCase();
    return parts.every(part => words.includes(part));
  });
}

function draw() {
  const fitting = wanted().slice(0, AT_ONCE);
  const groups = Map.groupBy(fitting, ({ group }) => group);
  rows = [];
  list.replaceChildren(...[...groups].map(([group, choices]) => drawGroup(group, choices)));
  if (!rows.length) list.append(make('p', { class: 'nothing' }, say('models.none')));
  const present = rows.findIndex(row => row.dataset.name === (props.value ?? ''));
  move(search.value ? 0 : Math.max(0, present));
}

const drawGroup = (group, choices) =>
  make(
    'div',
    group ? { role: 'group', 'aria-label': group } : {},
    group && make('b', { class: 'group', 'aria-hidden': 'true' }, group),
    choices.map(drawRow),
  );

function drawRow(choice) {
  const isChosen = choice.name === (props.value ?? '');
  const row = make(
    'div',
    {
      id: `${id}-option-${rows.length}`,
      role: 'option',
      class: 'option',
      'aria-selected': isChosen,
      'data-name': choice.name,
      title: choice.name,
      onclick: () => choose(choice.name),
    },
    make('span', { dir: 'auto' }, choice.label ?? choice.name),
    choice.note && make('small', {}, choice.note),
    isChosen && icon('check', 14),
  );
  rows.push(row);
  return row;
}

/** The arrows go to row `to`. */
function move(to) {
  rows[at]?.classList.remove('at');
  at = Math.min(Math.max(to, 0), rows.length - 1);
  const row = rows[at];
  search.setAttribute('aria-activedescendant', row?.id ?? '');
  row?.classList.add('at');
  row?.scrollIntoView({ block: 'nearest' });
}

function keys(event) {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
  if (event.key in steps) move(at + steps[event.key]);
  else if (event.key === 'Enter' && rows[at]) choose(rows[at].dataset.name);
  else if (event.key === 'Tab' || event.key === 'Escape') return close(event.key === 'Escape' && event);
  else return;
  event.preventDefault();
}

function choose(name) {
  close();
  button.focus();
  if (name === (props.value ?? '')) return;
  props.value = name;
  trigger('input');
  show();
}

function toggle() {
  if (popup.hidden) open();
  else close();
}

function open() {
  search.value = '';
  popup.hidden = false;
  button.setAttribute('aria-expanded', 'true');
  draw();
  search.focus();
  addEventListener('pointerdown', outside, true);
}

function close(escape) {
  if (escape) {
    escape.stopPropagation();
    button.focus();
  }
  popup.hidden = true;
  button.setAttribute('aria-expanded', 'false');
  removeEventListener('pointerdown', outside, true);
}

function outside(event) {
  if (!host.contains(event.target)) close();
}

function show() {
  const choice = offered().find(({ name }) => name === (props.value ?? ''));
  const text = choice ? [choice.label ?? choice.name, choice.group].filter(Boolean).join('  ·  ') : '';
  patch.text(shown, text);
  patch.attribute(button, 'title', text); // a long name is cut
  patch.attribute(button, 'aria-label', [props.label, text].filter(Boolean).join(': '));
  if (!popup.hidden) draw();
}

watch(['value', 'choices'], show);
show();
