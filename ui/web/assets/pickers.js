// One model of many: a button, and a list under it that is searched by typing and grouped by family.
// props.value: the name; props.choices: [{ name, group, note }]; props.label; props.bare: the label is only spoken;
// props.none: what no model means, where that may be chosen. `face(button, choice)` fills the button otherwise.
// Returns what brings it up to date when its props have changed.
Easel.picker = ({ element, props, trigger, face = null }) => {
  const { make, icon, patch, say } = Easel;
  const AT_ONCE = 200; // rows that are drawn; typing finds the others
  const EDGE = 8; // pixels between the list and the window's edge
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
    placeholder: props.find ?? say('models.find'),
    autocomplete: 'off',
    oninput: () => draw(),
    onkeydown: keys,
  });
  const list = make('div', { id: `${id}-list`, role: 'listbox', class: 'options', 'aria-label': props.label });
  const told = make('p', { role: 'status' });
  const popup = make(
    'div',
    { class: 'picker-popup', popover: 'manual', 'data-esc': '' }, // nothing around it cuts it off
    make('div', { class: 'search' }, icon('search'), search),
    list,
    told,
  );
  const isOpen = () => popup.matches(':popover-open');
  const host = make(
    'div',
    { class: 'choice picker' },
    !props.bare && make('label', { for: `${id}-input` }, props.label),
    make('div', { class: 'select' }, button),
    popup,
  );
  (element.querySelector('.host') ?? element).append(host);

  let rows = [], // the options drawn, in order
    at = -1; // the one the arrows are on; -1: none
  const isPresent = ({ name }) => name === (props.value ?? '');

  /** All that may be chosen; the present value too if it is not offered: the request says what is wrong with it. */
  function offered() {
    const none = props.none ? [{ name: '', label: props.none, group: '', note: '' }] : [];
    const all = [...none, ...props.choices];
    const isThere = !props.value || all.some(isPresent);
    return isThere ? all : [...all, { name: props.value, group: '', note: '' }];
  }

  function wanted() {
    const parts = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return offered().filter(({ name, group, note, label }) => {
      const words = `${label ?? name} ${group} ${note}`.toLowerCase();
      return parts.every(part => words.includes(part));
    });
  }

  /** The rows. What Enter takes was typed for, or reached by the arrows (`name`), or is the present choice. */
  function draw(name = search.value.trim() ? null : (props.value ?? '')) {
    const fitting = wanted();
    const drawn = fitting.filter((choice, k) => k < AT_ONCE || isPresent(choice));
    const groups = Map.groupBy(drawn, ({ group }) => group);
    rows = [];
    list.replaceChildren(...[...groups].map(([group, choices]) => drawGroup(group, choices)));
    tell(fitting.length, fitting.length - drawn.length);
    move(name === null ? 0 : rows.findIndex(row => row.dataset.name === name));
  }

  /** The line under the rows, when it says more than they do; spoken always. */
  function tell(count, more) {
    const text = more ? say('models.more', { n: more }) : say('models.fit', { n: count });
    patch.text(told, count ? text : say('models.none'));
    told.className = count && !more ? 'spoken' : 'nothing';
  }

  const drawGroup = (group, choices) =>
    make(
      'div',
      group ? { role: 'group', 'aria-label': group } : {},
      group && make('b', { class: 'group', 'aria-hidden': 'true' }, group),
      choices.map(drawRow),
    );

  function drawRow(choice) {
    const isChosen = isPresent(choice);
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
    at = Math.min(to, rows.length - 1);
    const row = rows[at];
    search.setAttribute('aria-activedescendant', row?.id ?? '');
    row?.classList.add('at');
    row?.scrollIntoView({ block: 'nearest' });
  }

  function keys(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey) return; // not meant for the list
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) move(Math.max(0, at + steps[event.key]));
    else if (event.key === 'Enter' && rows[at]) choose(rows[at].dataset.name);
    else if (event.key === 'Tab' || event.key === 'Escape') return close(event.key === 'Escape' && event);
    else return;
    event.preventDefault();
  }

  function choose(name) {
    close();
    button.focus();
    if (isPresent({ name })) return;
    props.value = name;
    trigger('input');
    show();
  }

  function toggle() {
    if (isOpen()) close();
    else open();
  }

  function open() {
    search.value = '';
    popup.showPopover();
    button.setAttribute('aria-expanded', 'true');
    place();
    draw();
    search.focus();
    addEventListener('pointerdown', outside, true);
    addEventListener('scroll', place, true);
    addEventListener('resize', place);
  }

  /** Under the button, or above it where there is more room; always inside the window. */
  function place() {
    const { left, top, bottom, width } = button.getBoundingClientRect();
    const above = top - 4 - EDGE,
      under = innerHeight - bottom - 4 - EDGE;
    const isUp = under < Math.min(above, 320);
    const wide = Math.min(Math.max(width, 320), innerWidth - 2 * EDGE);
    Object.assign(popup.style, {
      left: `${Math.max(EDGE, Math.min(left, innerWidth - EDGE - wide))}px`,
      width: `${wide}px`,
      top: isUp ? 'auto' : `${bottom + 4}px`,
      bottom: isUp ? `${innerHeight - top + 4}px` : 'auto',
      maxHeight: `${Math.min(480, isUp ? above : under)}px`,
    });
  }

  function close(escape) {
    if (escape) {
      escape.stopPropagation();
      button.focus();
    }
    popup.hidePopover();
    button.setAttribute('aria-expanded', 'false');
    removeEventListener('pointerdown', outside, true);
    removeEventListener('scroll', place, true);
    removeEventListener('resize', place);
  }

  function outside(event) {
    if (!host.contains(event.target)) close();
  }

  function show() {
    const choice = offered().find(isPresent);
    const text = choice ? [choice.label ?? choice.name, choice.group].filter(Boolean).join('  ·  ') : '';
    if (face) face(button, choice);
    else patch.text(shown, text);
    patch.attribute(button, 'title', text); // a long name is cut
    patch.attribute(button, 'aria-label', [props.label, text].filter(Boolean).join(': '));
    if (isOpen()) draw(rows[at]?.dataset.name);
  }

  show();
  return show;
};
