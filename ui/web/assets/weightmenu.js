// What can be done to all weights of a curve at once, and the rules for single parts of blocks.
Easel.weightMenu = () => {
  const { make, icon, patch, say } = Easel;
  const { desk } = Easel;
  const PAUSE = 300;
  const node = make('div', { class: 'weight-menu', popover: 'auto', 'data-esc': '', role: 'dialog' });
  const button = make(
    'button',
    { class: 'btn', 'aria-haspopup': 'dialog', onclick: () => node.togglePopover() },
    icon('more'),
    say('desk.weights'),
  );
  node.addEventListener('toggle', event => event.newState === 'open' && open());

  let key = 'alpha';
  const parameter = () => desk.byBlock().find(one => one.key === key) ?? desk.byBlock()[0];
  const clean = (value, { low, high }) => Number(Math.min(high, Math.max(low, value)).toFixed(4));

  function all(change, about) {
    const one = parameter();
    if (!one) return;
    const names = desk.names();
    desk.setWeights(
      one.key,
      desk.weights(one).map((value, k, list) => clean(change(value, names[k], list), one)),
      { about },
    );
  }

  /** IN00 and the last OUT change places, and so on inwards. */
  function mirrored(_, name, list) {
    const names = desk.names();
    const last = names.filter(one => one.startsWith('OUT')).length - 1;
    const found = /^(IN|OUT)(\d+)$/.exec(name);
    if (!found) return list[names.indexOf(name)];
    const other = `${found[1] === 'IN' ? 'OUT' : 'IN'}${String(last - Number(found[2])).padStart(2, '0')}`;
    return list[names.indexOf(other)];
  }

  /** Numbers from 0 to 1 that a seed leads to (mulberry32). */
  function chance(seed) {
    let at = seed >>> 0;
    return () => {
      at = (at + 0x6d2b79f5) >>> 0;
      let t = Math.imul(at ^ (at >>> 15), at | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  const number = (label, value, step) =>
    make('input', { type: 'number', value, step, 'aria-label': say(label), title: say(label) });
  const scale = number('weights.factor', 0.5, 0.1);
  const seed = number('weights.seed', 1, 1);
  let used = null; // the seed of the last weights by chance

  const act = (word, doing) => make('button', { class: 'btn', onclick: doing }, say(word));

  const which = make('div', { class: 'seg', role: 'group', 'aria-label': say('weights.of') });
  const list = make('textarea', { rows: 3, spellcheck: 'false', 'aria-label': say('weights.list') });
  const listSaid = make('p', { class: 'reason', role: 'status' });
  const rules = make('textarea', {
    rows: 2,
    spellcheck: 'false',
    placeholder: 'IN04:attn:0.8, OUT03-OUT05:ff:0.2',
    'aria-label': say('weights.rules'),
    oninput: () => {
      clearTimeout(checking);
      checking = setTimeout(checkRules, PAUSE);
    },
  });
  const rulesSaid = make('p', { class: 'reason', role: 'status' });
  let checking = 0;

  const text = () => desk.weights(parameter()).map(value => String(clean(value, parameter()))).join(', ');

  function takeList() {
    const parts = list.value.split(/[,;\s]+/).filter(Boolean);
    const numbers = parts.map(Number);
    const wanted = desk.names().length;
    const wrong = parts.find((_, k) => !Number.isFinite(numbers[k]));
    if (wrong) return complain(say('weights.no_number', { text: wrong }));
    const { sd } = desk.offers.blocks;
    const fitted =
      numbers.length === sd.length && wanted < sd.length
        ? desk.names().map(name => numbers[sd.indexOf(name)])
        : numbers.length === wanted - 1
          ? [desk.weights(parameter())[0], ...numbers]
          : numbers;
    if (fitted.length !== wanted) return complain(say('weights.count', { n: numbers.length, wanted }));
    all((_, name) => fitted[desk.names().indexOf(name)], 'list');
    complain('');
  }

  function complain(what) {
    patch.text(listSaid, what);
    listSaid.classList.toggle('danger', Boolean(what));
  }

  async function copy() {
    list.value = text();
    try {
      await navigator.clipboard.writeText(list.value);
      patch.text(listSaid, say('weights.copied'));
    } catch {
      list.select(); // a page without a secure address may not: it is selected, to be copied by hand
    }
    listSaid.classList.remove('danger');
  }

  /** The rules count from the moment they can be read; a wrong one changes nothing. */
  async function checkRules() {
    const typed = rules.value;
    try {
      const { rules: count } = await Easel.ask('api/desk/rules', desk.post({ text: typed, layout: desk.layout() }));
      if (typed !== rules.value) return;
      patch.text(rulesSaid, count ? say('weights.rules.count', { n: count }) : say('weights.rules.none'));
      rulesSaid.classList.remove('danger');
      if (typed.trim() !== desk.state.elemental) desk.change({ elemental: typed.trim() });
    } catch (error) {
      patch.text(rulesSaid, `${error.problem ?? error.message}; ${error.fix ?? ''}`);
      rulesSaid.classList.add('danger');
    }
  }

  function open() {
    const box = button.getBoundingClientRect();
    const wide = Math.min(380, innerWidth - 16);
    Object.assign(node.style, {
      left: `${Math.max(8, Math.min(box.right - wide, innerWidth - wide - 8))}px`,
      top: `${box.bottom + 4}px`,
      width: `${wide}px`,
      maxHeight: `${innerHeight - box.bottom - 16}px`,
    });
    complain('');
    rules.value = desk.state.elemental;
    patch.text(rulesSaid, '');
    show();
    list.value = text();
  }

  function show() {
    if (!node.matches(':popover-open') || !parameter()) return;
    which.hidden = desk.byBlock().length < 2;
    which.replaceChildren(
      ...desk.byBlock().map(one =>
        make(
          'button',
          {
            'aria-pressed': one.key === parameter().key,
            onclick: () => {
              key = one.key;
              show();
            },
          },
          one.label,
        ),
      ),
    );
    if (document.activeElement !== list) list.value = text();
  }

  node.setAttribute('aria-label', say('desk.weights'));
  node.append(
    which,
    make(
      'div',
      { class: 'acts' },
      act('weights.invert', () => all(value => 1 - value, 'invert')),
      act('weights.mirror', () => all(mirrored, 'mirror')),
      act('weights.reset', () => all(() => parameter().default, 'reset')),
    ),
    make(
      'div',
      { class: 'acts' },
      act('weights.scale', () => all(value => value * scale.valueAsNumber, 'scale')),
      scale,
      act('weights.chance', () => {
        if (seed.valueAsNumber === used) seed.valueAsNumber += 1;
        used = seed.valueAsNumber;
        all(chance(used), `chance ${used}`);
      }),
      seed,
    ),
    make('b', {}, say('weights.list')),
    list,
    make('div', { class: 'acts' }, act('weights.take', takeList), act('weights.copy', copy)),
    listSaid,
    make('b', {}, say('weights.rules')),
    make('p', { class: 'quiet' }, say('weights.rules.hint')),
    rules,
    rulesSaid,
  );
  desk.changed.on(show);
  return { node, button };
};
