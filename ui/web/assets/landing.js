// How pictures come onto a page that works on one: dropped or pasted, wherever on the page; or one of the last that
// were made here, offered while nothing is open.

/**
 * `node`: what they are brought to; only while it is shown. `zones`: named places { name: text } a file may be dropped
 * on; isOpen(name): whether that one is offered. onDrop(transfer, name): dropped on a zone, or beside them (name is
 * undefined). onPaste(images).
 */
Easel.landing = ({ node, zones, isOpen = () => true, onDrop, onPaste }) => {
  const { make } = Easel;
  const places = Object.entries(zones).map(([name, text]) => make('div', { class: 'zone', 'data-as': name }, text));
  const all = make('div', { class: 'dropzones', hidden: true }, ...places);
  node.append(all);
  const isShown = () => Boolean(node.offsetParent);
  const isForUs = event => isShown() && [...(event.dataTransfer?.types ?? [])].includes('Files');

  // Anywhere on the page: a browser would leave the studio to show the file.
  addEventListener('dragover', event => {
    if (!isForUs(event)) return;
    event.preventDefault();
    all.hidden = false;
    for (const place of places) {
      place.hidden = !isOpen(place.dataset.as);
      place.classList.toggle('over', place === event.target || places.length === 1);
    }
  });
  addEventListener('dragleave', event => {
    if (!event.relatedTarget) all.hidden = true; // it has left the window
  });
  addEventListener('drop', event => {
    if (!isForUs(event)) return;
    event.preventDefault();
    all.hidden = true;
    onDrop(event.dataTransfer, event.target.dataset?.as);
  });
  addEventListener('paste', event => {
    const pasted = [...(event.clipboardData?.files ?? [])].filter(one => one.type.startsWith('image/'));
    if (!pasted.length || !isShown() || Easel.isTyping(event.target)) return;
    event.preventDefault();
    onPaste(pasted);
  });
};

/** The last pictures of the studio in a row: `node`, and show(). label(prompt): what a press does. */
Easel.lastPictures = ({ label, title = null, onChoose }) => {
  const { make } = Easel;
  const node = make('div', { class: 'latest' });
  const button = picture =>
    make(
      'button',
      {
        class: 'thumb',
        'data-key': String(picture.id),
        'aria-label': label(picture.request.prompt || Easel.say('queue.untitled')),
        onclick: () => onChoose(picture),
      },
      make('img', { src: picture.thumb, alt: '' }),
    );

  function show() {
    const pictures = Easel.pictures.list.slice(0, 6);
    Easel.renew(
      node,
      pictures.length > 0 && title && make('p', { 'data-key': 'told' }, title),
      pictures.map(button),
    );
  }
  return { node, show };
};
