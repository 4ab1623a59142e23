// The filmstrip: newest left, a rule between jobs, older ones brought in while scrolling. One Tab stop; arrows move.
// `name(picture)`: what a picture is called; `empty`: what stands there while there is none.
Easel.strip = ({ onChoose, onLive, name = null, empty = null }) => {
  const { make, patch, say } = Easel;
  const quiet = make('span', { class: 'quiet' }, empty ?? say('strip.empty'));
  const live = make(
    'button',
    { class: 'thumb busy', hidden: true, 'aria-label': say('strip.live'), onclick: onLive },
    make('img', { alt: '' }),
    make('i', { class: 'bar' }),
  );
  const rule = make('i', { class: 'sep', hidden: true }); // between the running job and the one before
  const row = make('div', { class: 'thumbs' });
  const node = make('div', { class: 'strip', role: 'group', 'aria-label': say('strip.label') }, live, rule, row, quiet);
  const thumbs = new Map();
  const SPOKEN = 80; // characters of a prompt in a picture's name
  let newest = null; // job of the first picture

  node.addEventListener('scroll', () => {
    if (node.scrollLeft + node.clientWidth > node.scrollWidth - 400) Easel.pictures.older();
  });
  node.addEventListener(
    'wheel',
    event => {
      const isSideways = Math.abs(event.deltaY) <= Math.abs(event.deltaX);
      if (!isSideways && node.scrollWidth > node.clientWidth) {
        node.scrollLeft += event.deltaY;
        event.preventDefault();
      }
    },
    { passive: false },
  );

  function shortened(prompt) {
    const text = prompt.trim().replace(/\s+/g, ' ');
    return text.length > SPOKEN ? `${text.slice(0, SPOKEN - 1).trimEnd()}…` : text;
  }

  const called = ({ request, seed }) =>
    say('strip.picture', { prompt: shortened(request.prompt) || say('queue.untitled'), seed });

  function thumb(picture) {
    if (!thumbs.has(picture.id)) {
      thumbs.set(
        picture.id,
        make(
          'button',
          {
            class: 'thumb',
            tabindex: -1,
            'aria-pressed': 'false',
            'data-id': picture.id,
            'aria-label': (name ?? called)(picture),
            onclick: () => onChoose(picture.id),
          },
          make('img', { loading: 'lazy', src: picture.thumb, alt: '' }),
        ),
      );
    }
    const button = thumbs.get(picture.id);
    patch.attribute(button.firstChild, 'src', picture.thumb); // another database gives the same ids to other pictures
    return button;
  }

  /** Only what is new or gone is touched, so that a long strip costs nothing while pictures are painted. */
  function setPictures(list) {
    const wanted = [];
    list.forEach((picture, k) => {
      if (k && picture.job !== list[k - 1].job) wanted.push(make('i', { class: 'sep' }));
      wanted.push(thumb(picture));
    });
    const same =
      row.children.length === wanted.length &&
      [...row.children].every(
        (child, k) => child === wanted[k] || (child.className === 'sep' && wanted[k].className === 'sep'),
      );
    if (!same) row.replaceChildren(...wanted);
    newest = list[0]?.job ?? null;
    quiet.hidden = list.length > 0 || !live.hidden;
  }

  function setLive(view, source) {
    live.hidden = !view;
    rule.hidden = !view || !row.children.length || view.job === newest;
    quiet.hidden = !live.hidden || row.children.length > 0;
    if (!view) return;
    live.lastChild.style.setProperty('--p', `${view.share * 100}%`);
    live.firstChild.hidden = !source;
    if (source) patch.attribute(live.firstChild, 'src', source);
  }

  function select(id) {
    live.setAttribute('aria-pressed', !live.hidden && id === null);
    for (const [key, button] of thumbs) {
      patch.attribute(button, 'aria-pressed', key === id);
      patch.attribute(button, 'tabindex', key === id || (id === null && button === row.firstChild) ? 0 : -1);
    }
    const chosen = thumbs.get(id);
    if (chosen && node.contains(document.activeElement)) chosen.focus({ preventScroll: true });
    if (chosen?.isConnected) reveal(chosen);
  }

  function reveal(button) {
    const left = button.offsetLeft - node.offsetLeft,
      right = left + button.offsetWidth;
    if (left < node.scrollLeft) node.scrollLeft = left - 16;
    else if (right > node.scrollLeft + node.clientWidth) node.scrollLeft = right - node.clientWidth + 16;
  }

  return { node, setPictures, setLive, select };
};
