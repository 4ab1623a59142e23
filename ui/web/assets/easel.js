// Loaded first, from <head>. The one global of the page, and what every other script uses: words, icons, elements.
window.Easel = (() => {
  const { words, icons, names } = JSON.parse(document.getElementById('easel-data').textContent);

  /** The text of a key, with its {names} filled in. */
  const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));

  /** An element: make('button', { class: 'btn', onclick }, child, 'text'). Text is always text, never markup. */
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
    node.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
    return node;
  }

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

  return { names, say, make, svg, icon, patch, signal, ask, memory };
})();
