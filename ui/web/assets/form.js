// The fields as a whole: remembered across reloads, filled from a picture, a preset or a fix, outlined when at fault.
Easel.form = (() => {
  const changed = Easel.signal();
  const asked = Easel.signal();
  const forgiven = Easel.signal();
  const restored = Easel.signal(); // once: the page stands
  let names = [],
    values = {},
    pending = null,
    fault = null, // the field at fault { name, value }: outlined until it holds something else
    runAfter = false,
    triggerFill = null,
    saving = 0;

  /** On load: the remembered values over the first ones. `order` is the order of Gradio's inputs and outputs. */
  function restore(current, order) {
    names = order;
    document.querySelectorAll('.promptbox textarea').forEach(box => box.setAttribute('dir', 'auto'));
    const { model, ...kept } = Easel.memory.get('form') ?? {};
    restored.tell();
    return merge(current, Easel.hasModel?.(model) ? { model, ...kept } : kept); // a model may be gone meanwhile
  }

  function merge(current, over) {
    values = Object.fromEntries(names.map((name, k) => [name, over[name] === undefined ? current[k] : over[name]]));
    changed.tell(values);
    return names.map(name => values[name]);
  }

  /** On every change of a field. */
  function keep(current, order) {
    names = order;
    values = Object.fromEntries(names.map((name, k) => [name, current[k]]));
    if (fault && values[fault.name] !== fault.value) forgive(fault.name);
    changed.tell(values);
    clearTimeout(saving);
    saving = setTimeout(save, 250);
  }

  /** What the fold under More hides, in its label: only what is not as usual. */
  function foldLabel(current, order, usual) {
    const now = Object.fromEntries(order.map((name, k) => [name, current[k]]));
    const told = Object.keys(usual)
      .filter(name => now[name] !== usual[name])
      .map(name =>
        Easel.say(name === 'preview_every' && now[name] === 0 ? 'more.no_preview' : `more.${name}`, {
          value: now[name],
        }),
      );
    return {
      __type__: 'update',
      label: Easel.say('more.label', { value: told.join(', ') || Easel.say('more.standard') }),
    };
  }

  const save = () => Easel.memory.set('form', values);
  addEventListener('pagehide', () => {
    if (saving) save();
  });

  /** Sets fields by name, and presses Generate afterwards if asked. */
  function fill(fields, { run = false } = {}) {
    pending = fields;
    runAfter = run;
    Object.keys(fields).forEach(forgive);
    triggerFill();
  }

  function takePending(current, order) {
    names = order;
    const over = pending ?? {};
    pending = null;
    return merge(current, over);
  }

  function afterFill() {
    if (runAfter) asked.tell();
    runAfter = false;
  }

  /** All settings of a finished picture; its own seed, so that the same picture comes again. */
  const settingsOf = picture => ({ ...picture.request, seed: picture.seed, fresh_seed: false });

  const fieldElement = name => document.getElementById(`field-${name}`);

  /** Outlines the field at fault until it is changed, opening the fold that hides it. */
  function blame(name) {
    fault = null; // a new judgement, not a correction
    document.querySelectorAll('.at-fault').forEach(node => forgive(node.id.replace('field-', '')));
    if (!name) return;
    const node = fieldElement(name);
    if (!node?.offsetParent && openFold()) {
      setTimeout(() => blame(name), 300);
      return;
    }
    if (!node) return;
    fault = { name, value: values[name] };
    node.classList.add('at-fault');
    input(node)?.setAttribute('aria-invalid', 'true');
    const column = node.closest('.scroll');
    if (column && getComputedStyle(column).overflowY === 'auto') node.scrollIntoView({ block: 'nearest' });
    node.addEventListener('input', () => forgive(name), { once: true });
  }

  /** Opens the fold under More; false when it is open already. */
  function openFold() {
    const fold = document.querySelector('#more .label-wrap:not(.open)');
    fold?.click();
    return Boolean(fold);
  }

  function forgive(name) {
    const node = fieldElement(name);
    node?.classList.remove('at-fault');
    if (node) input(node)?.removeAttribute('aria-invalid');
    if (fault?.name === name) {
      fault = null;
      forgiven.tell(name);
    }
  }

  const input = node => node.querySelector('textarea, select, input:not([type="range"])');

  return {
    changed,
    asked,
    forgiven,
    restored,
    restore,
    keep,
    foldLabel,
    fill,
    takePending,
    afterFill,
    settingsOf,
    blame,
    onFill(trigger) {
      triggerFill = trigger;
    },
    get values() {
      return values;
    },
  };
})();
