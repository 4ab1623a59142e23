// The Inpaint page, put together: the canvas on the left, what to paint and how on the right.
// props.samples: its states at their addresses; props.ideas: for the empty canvas.
const { make, icon, say, canvas, repaint } = Easel;
const view = Easel.canvasView();
const hand = Easel.canvasHand(view);
const tools = Easel.canvasTools(view, hand);
const brush = Easel.brushBar(hand);
const views = Easel.viewBar(view);
const side = Easel.canvasSide();
const strip = Easel.canvasStrip();

Object.assign(view.node, { tabIndex: 0 });
view.node.setAttribute('role', 'application');
view.node.setAttribute('aria-label', say('canvas.label'));
view.node.setAttribute('aria-describedby', 'canvas-keys');
const keys = make('p', { class: 'spoken', id: 'canvas-keys' }, say('canvas.keys'));
view.node.append(tools.node, brush.node, views.node, keys);

// Nothing is open yet

const file = make('input', { type: 'file', accept: 'image/png,image/jpeg,image/webp', hidden: true });
file.addEventListener('change', () => {
  const [chosen] = file.files;
  file.value = '';
  openFile(chosen);
});
const latest = Easel.lastPictures({
  title: say('canvas.latest'),
  label: prompt => say('canvas.paint_over', { prompt }),
  onChoose: repaint.send,
});
const invite = make(
  'div',
  { class: 'invite' },
  icon('inpaint', 48),
  make('h2', {}, say('canvas.empty')),
  make('p', {}, say('canvas.empty.text')),
  make(
    'div',
    { class: 'ideas' },
    make('button', { class: 'btn solid', onclick: () => file.click() }, say('canvas.open')),
  ),
  latest.node,
);
view.node.append(invite, file);

function showInvite() {
  const isEmpty = repaint.sample ? repaint.sample.isEmpty : !canvas.node;
  invite.hidden = !isEmpty || Boolean(repaint.problem);
  latest.show();
}

// What goes on, and what went wrong

const progress = Easel.views.progress({ onStop: repaint.stop });
const error = Easel.views.error({
  onFix: fix => {
    repaint.dismiss();
    fix.act?.();
  },
});
const close = make('button', { class: 'btn', onclick: repaint.dismiss }, say('canvas.dismiss'));
error.node.append(close);
view.node.append(progress.node, error.node);

function showWork() {
  const { live, problem } = repaint;
  progress.node.hidden = !live || Boolean(problem) || !(Easel.live.connected || repaint.sample);
  if (live) progress.update(live);
  views.node.classList.toggle('above', Boolean(live));
  error.node.hidden = !problem;
  if (problem) error.update({ view: problem });
}

// Pictures that are dropped or pasted

const openFile = one => one && repaint.bring(() => canvas.openFile(one));
Easel.landing({
  node: view.node,
  zones: { picture: say('canvas.drop'), mask: say('canvas.drop_mask') },
  isOpen: name => name === 'picture' || Boolean(canvas.node),
  onDrop: ({ files }, name) => (name === 'mask' && files.length ? tools.loadMask(files[0]) : openFile(files[0])),
  onPaste: ([pasted]) => openFile(pasted),
});

const open = make(
  'button',
  {
    class: 'btn sq float opener',
    'aria-label': say('canvas.open'),
    title: say('canvas.open'),
    onclick: () => file.click(),
  },
  icon('open', 18),
);
view.node.append(open);

element.querySelector('.host').append(
  make(
    'div',
    { class: 'canvaspage' },
    make('section', { class: 'main', 'aria-label': say('tab.inpaint') }, view.node, strip.node),
    make('aside', { class: 'side', 'aria-label': say('canvas.settings') }, side.node, side.foot),
  ),
  tools.menu,
);

function show() {
  for (const part of [tools, brush, views, side, strip]) part.show();
  open.hidden = !canvas.node;
  view.node.dataset.view = repaint.view;
  view.node.dataset.tool = hand.brush.tool;
  showInvite();
  showWork();
}

// Undo and redo, wherever the focus is but in a text; N goes on from the result that is looked at.
addEventListener('keydown', event => {
  if (!view.node.offsetParent || Easel.isTyping(event.target)) return;
  const key = event.key.toLowerCase();
  if (key === 'n' && !event.ctrlKey && !event.metaKey && !event.altKey) {
    if (repaint.view === 'mask') return;
    event.preventDefault();
    repaint.goOn();
    view.node.focus({ preventScroll: true });
    return;
  }
  if (!(event.ctrlKey || event.metaKey) || (key !== 'z' && key !== 'y')) return;
  event.preventDefault();
  if (key === 'y' || event.shiftKey) canvas.redo();
  else canvas.undo();
});

Easel.escapeCanvas = () => {
  if (hand.cancel()) return;
  if (repaint.problem) repaint.dismiss();
  else repaint.stop('now');
};

/** Where the picture lies, for whoever points at it from outside. */
Easel.canvasAt = () => view.at;

function pretend() {
  repaint.pretend(props.samples[Easel.address.of('inpaint')] ?? null);
}
Easel.address.changed.on(pretend);
canvas.changed.on(show);
repaint.changed.on(show);
hand.changed.on(show);
view.moved.on(views.show);
Easel.pictures.changed.on(showInvite);
Easel.live.news.connection.on(showWork);
repaint
  .begin()
  .then(() => {
    view.begin();
    pretend();
    show();
  })
  .catch(failed => console.warn(failed));
show();
