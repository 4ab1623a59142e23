// The faders: one for each block, under a curve through all of them, over how far A and B lie apart there.
// A drag across several draws their curve; Shift moves finely, Alt the whole group; a double press sets what is usual.
Easel.mixer = () => {
  const { make, svg, patch, say } = Easel;
  const { desk, mixing } = Easel;
  const GROUPS = [
    ['BASE', /^BASE$/, 'base'],
    ['IN', /^IN/, 'in'],
    ['MID', /^M/, 'mid'],
    ['OUT', /^OUT/, 'out'],
  ];
  const KNOB = 0.15; // of the way: how near to the knob a finger must be
  const FINE = 0.1, // of the way the pointer goes
    STEP = 0.01,
    JUMP = 0.1;
  const curve = svg('svg', { class: 'curve', 'aria-hidden': 'true' });
  const node = make('div', { class: 'mixer', tabindex: -1 });
  let faders = [], // { name, key, parameter, column, range, number }
    built = '',
    drag = null;

  const ranges = key => faders.filter(one => one.key === key);

  function build() {
    const names = desk.names();
    const parameters = desk.byBlock();
    const now = JSON.stringify([names, parameters.map(one => one.key)]);
    if (now === built) return;
    built = now;
    faders = [];
    node.classList.toggle('double', parameters.length > 1);
    node.classList.toggle('none', !parameters.length);
    node.replaceChildren(
      curve,
      ...(parameters.length ? GROUPS.map(([title, fits, tone]) => group(title, fits, tone, names, parameters)) : []),
    );
    if (!parameters.length) node.append(make('p', { class: 'quiet' }, say('mixer.none')));
  }

  function group(title, fits, tone, names, parameters) {
    const own = names.filter(name => fits.test(name));
    return make(
      'div',
      { class: `grp ${tone}`, role: 'group', 'aria-label': say(`mixer.group.${tone}`), '--n': own.length },
      make('b', { title: say(`mixer.group.${tone}`) }, title),
      make(
        'div',
        { class: 'faders' },
        own.map(name => column(name, parameters)),
      ),
    );
  }

  function column(name, parameters) {
    const box = make('div', { class: 'fader', 'data-block': name });
    for (const parameter of parameters) {
      const label = parameters.length > 1 ? `${name} ${parameter.label}` : name;
      const low = Math.max(parameter.low, 0);
      const number = make('input', {
        type: 'text',
        inputmode: 'decimal',
        tabindex: -1, // Enter on the fader goes there: half as many stops on the way through the page
        'aria-label': say('mixer.value', { name: label }),
        onchange: event => typed(name, parameter, event.target),
        onfocus: event => event.target.select(),
        onkeydown: event => back(event, name, parameter),
      });
      const range = make('input', {
        type: 'range',
        min: low,
        max: 1,
        step: STEP,
        'aria-label': label,
        oninput: event => set(name, parameter.key, event.target.valueAsNumber),
        onkeydown: event => nudge(event, name, parameter),
        onpointerdown: event => grab(event, name, parameter),
        onmousedown: event => event.preventDefault(), // the browser's own drag knows one fader only
        ondblclick: () => set(name, parameter.key, parameter.default),
      });
      box.append(number, range);
      faders.push({ name, key: parameter.key, parameter, column: box, range, number });
    }
    box.append(make('i', { class: 'diff', 'aria-hidden': 'true' }), make('span', {}, name.replace(/^(IN|OUT)/, '')));
    return box;
  }

  const clean = value => Number(value.toFixed(4));
  const clamp = (value, { low, high }) => Math.min(high, Math.max(low, value));

  /** Sets some blocks of one parameter: { name: value }. */
  function setMany(key, values, how) {
    const parameter = desk.byBlock().find(one => one.key === key);
    const names = desk.names();
    const before = desk.weights(parameter);
    const after = names.map((name, k) => (name in values ? clean(clamp(values[name], parameter)) : before[k]));
    if (after.some((value, k) => value !== before[k])) desk.setWeights(key, after, how);
  }

  const set = (name, key, value) => setMany(key, { [name]: value }, { about: `${key} ${name}` });

  function typed(name, parameter, box) {
    const value = Number(box.value.trim().replace(',', '.'));
    if (box.value.trim() && Number.isFinite(value)) set(name, parameter.key, value);
    box.value = values(parameter.key)[name].toFixed(2); // also when it was no number
  }

  const back = (event, name, parameter) => {
    if (event.key === 'Escape') leave(event.target, name, parameter);
    if (event.key === 'Enter') faders.find(one => one.number === event.target).range.focus();
  };

  /** As it was before something was typed. */
  function leave(box, name, parameter) {
    box.value = values(parameter.key)[name].toFixed(2);
    faders.find(one => one.number === box).range.focus();
  }

  function nudge(event, name, parameter) {
    if (event.key === 'Enter') {
      event.preventDefault();
      faders.find(one => one.range === event.target).number.focus();
      return;
    }
    const way = { ArrowUp: STEP, ArrowRight: STEP, ArrowDown: -STEP, ArrowLeft: -STEP, PageUp: JUMP, PageDown: -JUMP };
    const by = way[event.key];
    if (!by || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const names = event.altKey ? groupOf(name) : [name];
    const fine = event.shiftKey ? FINE : 1;
    const at = values(parameter.key);
    setMany(parameter.key, Object.fromEntries(names.map(one => [one, at[one] + by * fine])), { about: `key ${name}` });
  }

  const values = key => {
    const parameter = desk.byBlock().find(one => one.key === key);
    const numbers = desk.weights(parameter);
    return Object.fromEntries(desk.names().map((name, k) => [name, numbers[k]]));
  };

  const groupOf = name => {
    const [, fits] = GROUPS.find(([, pattern]) => pattern.test(name));
    return desk.names().filter(one => fits.test(one));
  };

  // With the pointer

  function grab(event, name, parameter) {
    if (event.button) return;
    const own = faders.find(one => one.range === event.target);
    const knob = limited(values(parameter.key)[name], own);
    // A finger that does not touch the knob wants to scroll.
    if (event.pointerType === 'touch' && Math.abs(place(own, event.clientY) - knob) > KNOB) return;
    event.target.focus();
    drag = { key: parameter.key, name, y: event.clientY, before: values(parameter.key), at: Date.now(), last: null };
    event.target.setPointerCapture(event.pointerId);
    if (!event.shiftKey && !event.altKey) follow(event);
  }

  node.addEventListener('pointermove', event => drag && follow(event));
  for (const end of ['pointerup', 'pointercancel', 'lostpointercapture'])
    node.addEventListener(end, () => {
      drag = null;
    });

  /** Where on its way from 0 to 1 a fader is, for a pointer at `y`. */
  function place({ range }, y) {
    const box = range.getBoundingClientRect();
    const half = 6; // of the knob
    const share = (box.bottom - half - y) / (box.height - 2 * half);
    return Number(range.min) + share * (Number(range.max) - Number(range.min));
  }

  function follow(event) {
    const { key, name, before } = drag;
    const own = ranges(key);
    const about = `drag ${drag.at}`;
    if (event.shiftKey || event.altKey) {
      const mine = own.find(one => one.name === name);
      const way = place(mine, event.clientY) - place(mine, drag.y);
      const by = event.shiftKey ? way * FINE : way;
      const names = event.altKey ? groupOf(name) : [name];
      setMany(key, Object.fromEntries(names.map(one => [one, limited(before[one] + by, mine)])), { about });
      return;
    }
    const here = own.findIndex(one => {
      const box = one.column.getBoundingClientRect();
      return event.clientX >= box.left && event.clientX < box.right;
    });
    const at = here < 0 ? own.findIndex(one => one.name === (drag.last ?? name)) : here;
    const value = limited(place(own[at], event.clientY), own[at]);
    setMany(key, between(own, at, value), { about });
    drag.last = own[at].name;
    drag.value = value;
  }

  const limited = (value, { range }) => Math.min(Number(range.max), Math.max(Number(range.min), value));

  /** Also the faders that a quick pointer has passed over, on the line between. */
  function between(own, at, value) {
    const from = drag.last ? own.findIndex(one => one.name === drag.last) : at;
    const made = { [own[at].name]: value };
    const way = Math.abs(at - from);
    for (let k = 1; k < way; k += 1) {
      const one = own[from + Math.sign(at - from) * k];
      made[one.name] = drag.value + ((value - drag.value) * k) / way;
    }
    return made;
  }

  // How it looks

  function show() {
    if (!desk.offers) return;
    build();
    for (const parameter of desk.byBlock()) {
      const at = values(parameter.key);
      for (const one of ranges(parameter.key)) {
        const value = at[one.name];
        one.range.value = value;
        const share = (limited(value, one) - Number(one.range.min)) / (1 - Number(one.range.min));
        one.range.style.setProperty('--v', `${share * 100}%`);
        patch.attribute(one.range, 'aria-valuetext', value.toFixed(2));
        if (document.activeElement !== one.number) one.number.value = value.toFixed(2);
        one.column.classList.toggle('beyond', value > 1 || value < 0);
      }
    }
    showDistances();
    draw();
  }

  /** The bars: the block that differs most fills its bar. */
  function showDistances() {
    const apart = mixing.distances;
    const most = apart ? Math.max(...Object.values(apart).map(([far]) => far), 1e-9) : 1;
    node.classList.toggle('waiting', !apart);
    for (const box of node.querySelectorAll('.fader')) {
      const [far, cosine] = apart?.[box.dataset.block] ?? [0, 1];
      const bar = box.querySelector('.diff');
      bar.style.setProperty('--d', far / most);
      const told = { name: box.dataset.block, apart: (100 * far).toFixed(1), cosine: cosine.toFixed(3) };
      patch.attribute(bar, 'title', apart ? say('mixer.apart', told) : '');
    }
  }

  /** The curve through the faders; BASE is no neighbour of IN00, and a dot of its own. */
  function draw() {
    const wide = node.scrollWidth;
    const high = curve.clientHeight;
    if (!node.offsetParent || !high) return;
    curve.setAttribute('viewBox', `0 0 ${wide} ${high}`);
    curve.style.width = `${wide}px`;
    const left = node.getBoundingClientRect().left - node.scrollLeft;
    const drawn = desk.byBlock().flatMap((parameter, k) => line(parameter, k, left, high));
    curve.replaceChildren(svg('path', { class: 'half', d: `M0 ${high * 0.5}H${wide}` }), ...drawn);
  }

  function line(parameter, k, left, high) {
    const at = values(parameter.key);
    const points = ranges(parameter.key).map(one => {
      const box = one.range.getBoundingClientRect();
      return [box.left + box.width / 2 - left, high * (0.88 - 0.76 * limited(at[one.name], one)), one.name];
    });
    const path = points
      .slice(1)
      .map(([x, y], n, own) => {
        if (!n) return `M${x} ${y}`;
        const [a, b] = own[n - 1];
        return `C${(a + x) / 2} ${b} ${(a + x) / 2} ${y} ${x} ${y}`;
      })
      .join('');
    const area = `${path}V${high}H${points[1][0]}Z`;
    return [
      k === 0 && svg('path', { class: 'area', d: area }),
      svg('path', { class: k ? 'line second' : 'line', d: path }),
      ...points.map(([x, y, name]) => svg('circle', { cx: x, cy: y, r: 2.5, class: toneOf(name) })),
    ].filter(Boolean);
  }

  const toneOf = name => GROUPS.find(([, fits]) => fits.test(name))[2];

  desk.changed.on(show);
  mixing.changed.on(showDistances);
  new ResizeObserver(draw).observe(node);
  return { node, show };
};
