// Loaded first, from <head>. The one global of the page, and what every other script uses: words, icons, elements.
window.Easel = (() => {
  const { words, icons, names } = JSON.parse(document.getElementById('easel-data').textContent);

  /** The text of a key, with its {names} filled in. */
  const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));

  /** An element: make('button', { class: 'btn', onclick }, child, 'text'). Text is always text, never markup. */
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
    node.append(...parts(children));
    return node;
  }

  const parts = children =>
    children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false);

  function setAttribute(node, name, value) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name.startsWith('--')) node.style.setProperty(name, value);
    else if (name === 'disabled' || name === 'hidden') node[name] = Boolean(value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }

  const SVG = 'http://www.w3.org/2000/svg';

  function svg(tag, attributes, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  const icon = (name, size = 16) =>
    svg(
      'svg',
      {
        class: 'i',
        width: size,
        height: size,
        viewBox: '0 0 24 24',
        fill: 'none',
        stroke: 'currentColor',
        'stroke-width': 1.75,
        'stroke-linecap': 'round',
        'stroke-linejoin': 'round',
        'aria-hidden': 'true',
      },
      svg('path', { d: icons[name] }),
    );

  /** Sets an attribute or a text only when it changes, so that nothing flickers and focus stays. */
  const patch = {
    text(node, text) {
      if (node.textContent !== text) node.textContent = text;
    },
    attribute(node, name, value) {
      if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
    },
  };

  /**
   * Makes `node` hold `wanted`, children as `make` takes them. What looks as before stays; what has the same data-key
   * stays, too, and is brought up to date: a press, a typed text, the scroll and the focus in it live on, as do its
   * listeners. Where the focus was on something that goes, the node takes it, if it can.
   */
  function renew(node, ...wanted) {
    const focused = node.contains(document.activeElement) && document.activeElement;
    const before = new Set(node.childNodes);
    const keyed = new Map([...node.children].map(child => [child.dataset.key, child]));
    const now = parts(wanted).map(part => {
      const fresh = part instanceof Node ? part : new Text(part);
      const { key } = fresh.dataset ?? {};
      const old = key ? keyed.get(key) : [...before].find(one => one.isEqualNode(fresh));
      if (!before.delete(old)) return fresh;
      if (key && old !== fresh) update(old, fresh);
      return old;
    });
    before.forEach(old => old.remove());
    now.forEach((part, k) => part !== node.childNodes[k] && node.insertBefore(part, node.childNodes[k] ?? null));
    if (focused && !node.contains(document.activeElement))
      (focused.isConnected ? focused : node).focus({ preventScroll: true });
  }

  function update(old, fresh) {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) patch.attribute(old, name, value);
    renew(old, ...fresh.childNodes);
  }

  /** A list of listeners: const heard = signal(); heard.on(f); heard.tell(x). */
  function signal() {
    const listeners = new Set();
    return {
      on(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      tell(...news) {
        for (const listener of [...listeners]) listener(...news);
      },
    };
  }

  /** JSON from our own server. A refusal is thrown as its { problem, fix }. */
  async function ask(path, options) {
    const answer = await fetch(new URL(path, document.baseURI), options);
    const body = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(body.error?.problem ?? answer.statusText), body.error);
    return body;
  }

  /** What this browser remembers between visits. A full or forbidden storage costs the memory, not the page. */
  const memory = {
    get(key) {
      try {
        return JSON.parse(localStorage.getItem(`easel.${key}`));
      } catch {
        return null;
      }
    },
    set(key, value) {
      try {
        localStorage.setItem(`easel.${key}`, JSON.stringify(value));
      } catch (error) {
        console.warn(error);
      }
    },
  };

  /** Whether keys that are pressed there are meant as text, or choose in a list. */
  const isTyping = node =>
    Boolean(node.closest?.('textarea, select, input:not([type="range"], [type="checkbox"]), [contenteditable]'));

  return { isTyping, names, say, make, svg, icon, patch, renew, signal, ask, memory };
})();
