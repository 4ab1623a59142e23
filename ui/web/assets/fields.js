// Fields of a page that draws itself: each { node, show } is built once, reads its value with `get` and gives it to
// `set`.
Easel.fields = (() => {
  const { make, patch } = Easel;
  let count = 0;

  /** A number with its slider. `limits` { low, high, step }: of the number; `drag`: the handy range of the slider. */
  function slider({ label, limits, drag = limits, id = `own-field-${(count += 1)}`, get, set }) {
    const number = make('input', {
      type: 'text',
      id,
      inputmode: 'decimal',
      autocomplete: 'off',
      onchange: take,
      onkeydown: nudge,
      onfocus: event => event.target.select(),
    });
    const range = make('input', {
      type: 'range',
      class: 'ez',
      min: drag.low,
      max: drag.high,
      step: drag.step ?? limits.step,
      'aria-label': label,
      oninput: event => set(Number(event.target.value)),
    });
    const node = make('div', { class: 'number with-track' }, make('label', { for: id }, label), number, range);
    const fit = value => {
      const whole = limits.step >= 1 ? Math.round(value / limits.step) * limits.step : Number(value.toFixed(4));
      return Math.min(limits.high, Math.max(limits.low, whole));
    };

    /** What is no number, or out of range, comes back as the nearest that can be. */
    function take() {
      const typed = number.value.trim().replace(',', '.');
      if (typed !== '' && Number.isFinite(Number(typed))) set(fit(Number(typed)));
      show();
    }

    function nudge(event) {
      if (event.key === 'Enter') take();
      const by = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (!by) return;
      event.preventDefault();
      set(fit(get() + by * limits.step));
      number.value = get();
    }

    function show() {
      const value = get();
      if (document.activeElement !== number || Number(number.value) !== value) number.value = value;
      range.value = value;
      const share = Math.min(1, Math.max(0, (value - drag.low) / (drag.high - drag.low)));
      range.style.setProperty('--range_progress', `${share * 100}%`);
    }
    return { node, show };
  }

  /** A number alone, in a small box. */
  function box({ label, limits, get, set }) {
    const input = make('input', {
      type: 'number',
      min: limits.low,
      max: limits.high,
      step: limits.step,
      'aria-label': label,
      onchange() {
        const value = input.valueAsNumber;
        if (Number.isFinite(value)) {
          const whole = Math.round(value / limits.step) * limits.step;
          set(Math.min(limits.high, Math.max(limits.low, whole)));
        }
        input.value = get();
      },
    });
    return {
      node: make('label', { class: 'mini' }, label, input),
      show() {
        if (document.activeElement !== input) input.value = get();
      },
    };
  }

  /** One of a few, all in sight. `choices`: [value, text]. */
  function segments({ label, choices, get, set }) {
    const buttons = choices.map(([value, text]) =>
      make('button', { type: 'button', 'data-value': value, onclick: () => set(value) }, text),
    );
    const group = make('div', { class: 'seg wide', role: 'group', 'aria-label': label }, buttons);
    return {
      node: make('div', { class: 'choice' }, make('span', { class: 'label' }, label), group),
      show() {
        choices.forEach(([value], k) => patch.attribute(buttons[k], 'aria-pressed', value === get()));
      },
    };
  }

  /** One of many, as the browser's own list. */
  function select({ label, choices, get, set }) {
    const id = `own-field-${(count += 1)}`;
    const list = make(
      'select',
      { id, onchange: event => set(event.target.value) },
      choices.map(([value, text]) => make('option', { value }, text)),
    );
    return {
      node: make('div', { class: 'choice' }, make('label', { for: id }, label), make('div', { class: 'select' }, list)),
      show() {
        list.value = get();
      },
    };
  }

  function toggle({ label, get, set }) {
    const change = event => set(event.target.checked);
    const input = make('input', { type: 'checkbox', 'aria-label': label, onchange: change });
    return {
      node: make('label', { class: 'toggle' }, input, label),
      show() {
        input.checked = get();
      },
    };
  }

  function text({ label, rows, get, set, hint = label }) {
    const area = make('textarea', {
      rows,
      dir: 'auto',
      'aria-label': label,
      placeholder: hint,
      oninput: event => set(event.target.value),
    });
    return {
      node: area,
      show() {
        if (area.value !== get()) area.value = get();
      },
    };
  }

  /** What is folded away says in `label()` how it stands. */
  function fold({ id, label, fields }) {
    const summary = make('summary');
    const node = make(
      'details',
      { class: 'own-fold', id },
      summary,
      make('div', { class: 'inside' }, fields.map(field => field.node ?? field)),
    );
    return {
      node,
      show() {
        patch.text(summary, label());
        for (const field of fields) field.show?.();
      },
    };
  }

  /** What to paint and, below it in the same frame, what to avoid. setting(name): { get, set } of that field. */
  function prompts({ label, rows, setting }) {
    const { make, say } = Easel;
    const prompt = text({ label, rows, ...setting('prompt') });
    const negative = text({
      label: say('field.negative_prompt'),
      hint: say('field.negative_prompt.hint'),
      rows: 1,
      ...setting('negative_prompt'),
    });
    const parts = [prompt, negative];
    return {
      node: make('div', { class: 'promptbox own' }, prompt.node, make('div', { class: 'avoid' }, negative.node)),
      show: () => parts.forEach(part => part.show()),
    };
  }

  const randomSeed = count => Math.floor(Math.random() * (2 ** 32 - count));

  return { slider, box, segments, select, toggle, text, prompts, fold, randomSeed };
})();
