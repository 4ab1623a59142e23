// The LoRAs of a job: a row each with its strength, how it fits the model, and a way to take it out.
// props.value: [{ name, unet, text, blocks }]. Returns what brings the rows up to date when the value has changed.
Easel.loraRows = ({ element, props, trigger }) => {
  const { make, icon, patch, say } = Easel;
  const LOW = -1, // the handy range; the number takes more
    HIGH = 2,
    MOST = 10;
  const rows = make('ul', { class: 'lora-rows', 'aria-label': say('field.loras') });
  (element.querySelector('.host') ?? element).append(rows);
  const fits = new Map(); // "model\nlora" -> what is known of how they fit
  let apart = new Set(); // rows whose text encoder has a strength of its own

  const list = () => props.value ?? [];

  function change(next) {
    props.value = next;
    trigger('input');
    draw();
  }

  const set = (at, what) => change(list().map((one, k) => (k === at ? { ...one, ...what } : one)));

  function remove(at) {
    apart = new Set([...apart].filter(k => k !== at).map(k => (k > at ? k - 1 : k)));
    change(list().filter((_, k) => k !== at));
    (rows.querySelectorAll('.out')[Math.max(0, at - 1)] ?? document.querySelector('#field-add_lora .pick'))?.focus();
  }

  function strength(at, label, value, take) {
    const number = make('input', {
      type: 'number',
      step: 0.05,
      min: -MOST,
      max: MOST,
      value,
      'aria-label': label,
      onchange: event => take(limited(event.target.valueAsNumber, value)),
    });
    const range = make('input', {
      type: 'range',
      class: 'ez',
      min: LOW,
      max: HIGH,
      step: 0.05,
      value,
      'aria-label': label,
      oninput: event => {
        number.value = event.target.value;
        fill(event.target);
      },
      onchange: event => take(event.target.valueAsNumber),
    });
    fill(range);
    return make('span', { class: 'strength' }, range, number);
  }

  const fill = range => {
    const share = (range.valueAsNumber - LOW) / (HIGH - LOW);
    range.style.setProperty('--range_progress', `${share * 100}%`);
  };

  const limited = (number, old) => (Number.isFinite(number) ? Math.min(Math.max(number, -MOST), MOST) : old);

  function row(lora, at) {
    const isApart = apart.has(at) || lora.unet !== lora.text;
    const label = say('loras.strength', { name: lora.name });
    const split = say(isApart ? 'loras.together' : 'loras.apart');
    return make(
      'li',
      { 'data-name': lora.name },
      make('b', { dir: 'auto', title: lora.name }, lora.name),
      make(
        'button',
        {
          class: 'btn sq',
          'aria-pressed': isApart,
          'aria-label': split,
          title: split,
          onclick: () => {
            if (isApart) {
              apart.delete(at);
              set(at, { text: lora.unet });
            } else {
              apart.add(at);
              draw();
            }
          },
        },
        'T',
      ),
      make(
        'button',
        {
          class: 'btn sq out',
          'aria-label': say('loras.remove', { name: lora.name }),
          title: say('loras.remove', { name: lora.name }),
          onclick: () => remove(at),
        },
        icon('close'),
      ),
      strength(at, isApart ? `${label}, ${say('loras.unet')}` : label, lora.unet, number =>
        set(at, isApart ? { unet: number } : { unet: number, text: number }),
      ),
      isApart && make('small', {}, say('loras.unet')),
      isApart && strength(at, `${label}, ${say('loras.text')}`, lora.text, number => set(at, { text: number })),
      isApart && make('small', {}, say('loras.text')),
      fitLine(lora.name),
    );
  }

  /** What is known of how a LoRA fits the model of the form; asked for when it is not known yet. */
  function fitLine(name) {
    const model = Easel.form.values.model;
    const key = `${model}\n${name}`;
    if (!fits.has(key)) ask(key, model, name);
    const known = fits.get(key);
    const line = make('p', { class: known?.problem ? 'reason danger' : 'reason' });
    patch.text(line, known ? (known.problem ? `${known.problem}; ${known.fix}` : told(known)) : '');
    return line;
  }

  function told(known) {
    const parts = known.matched.unet + known.matched.text;
    const fit = say(parts < known.modules ? 'loras.some' : 'loras.all', { n: parts, m: known.modules });
    return [fit, known.triggers.length && say('loras.triggers', { words: known.triggers.join(', ') })]
      .filter(Boolean)
      .join(' · ');
  }

  async function ask(key, model, name) {
    fits.set(key, null);
    if (!model) return;
    const query = new URLSearchParams({ lora: name, model });
    try {
      fits.set(key, await Easel.ask(`api/loras/fit?${query}`));
    } catch (error) {
      fits.set(key, { problem: error.problem ?? error.message, fix: error.fix ?? '' });
    }
    draw();
  }

  function draw() {
    const held = rows.contains(document.activeElement) ? document.activeElement.getAttribute('aria-label') : null;
    rows.replaceChildren(...list().map(row));
    rows.hidden = !list().length;
    if (held) [...rows.querySelectorAll('button, input')].find(node => node.ariaLabel === held)?.focus();
  }

  Easel.models.offered.on(() => {
    fits.clear();
    draw();
  });
  let model = null;
  Easel.form.changed.on(values => {
    if (model !== (model = values.model)) draw();
  });
  draw();
  return draw;
};
