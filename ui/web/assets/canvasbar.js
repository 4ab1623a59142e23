// What floats over the canvas: tools at the left, the brush above, what is looked at below.
Easel.canvasTools = (view, hand) => {
  const { make, icon, patch, say, canvas, repaint, maskBits } = Easel;
  const TOOLS = [
    ['brush', 'B'],
    ['eraser', 'E'],
    ['rectangle', 'R'],
    ['lasso', 'L'],
    ['fill', 'F'],
    ['hand', 'H'],
  ];
  const STEPS = { by: 8, most: 256 }; // pixels an edge is moved or softened by

  const square = (name, label, onclick, more = {}) =>
    make('button', { class: 'btn sq', 'aria-label': label, title: label, onclick, ...more }, icon(name, 18));
  const tools = TOOLS.map(([name, key]) =>
    square(name, `${say(`canvas.${name}`)} (${key})`, () => hand.choose(name), { 'data-tool': name }),
  );
  const undo = square('undo', say('canvas.undo'), canvas.undo);
  const redo = square('redo', say('canvas.redo'), canvas.redo);
  const invert = square('contrast', say('canvas.invert'), () => canvas.edit(maskBits.invert));
  const clear = square('trash', say('canvas.clear'), () => canvas.edit(maskBits.clear));
  const more = square('more', say('canvas.more'), () => menu.togglePopover());
  const rule = () => make('i', { class: 'rule' });
  const node = make(
    'div',
    { class: 'float tools', role: 'toolbar', 'aria-orientation': 'vertical', 'aria-label': say('canvas.tools') },
    tools,
    rule(),
    [undo, redo, invert, clear, more],
    rule(),
    square('fit', say('canvas.fit'), view.fit),
  );

  // The mask's edge, and its file

  const pixels = make('input', {
    type: 'number',
    min: 1,
    max: STEPS.most,
    value: STEPS.by,
    'aria-label': say('canvas.edge_by'),
  });
  const by = () => Math.min(STEPS.most, Math.max(1, Math.round(pixels.valueAsNumber || STEPS.by)));
  const act = (text, what) => make('button', { class: 'btn', onclick: what }, text);
  const file = make('input', { type: 'file', accept: 'image/png,image/jpeg,image/webp', hidden: true });
  file.addEventListener('change', () => {
    const [chosen] = file.files;
    file.value = '';
    if (chosen) loadMask(chosen);
  });
  const menu = make(
    'div',
    { class: 'canvas-menu', popover: 'auto', 'data-esc': '', role: 'dialog', 'aria-label': say('canvas.more') },
    Easel.canvasFind().node,
    make('hr'),
    make('label', { class: 'mini' }, say('canvas.edge_by'), pixels),
    make(
      'div',
      { class: 'acts' },
      act(say('canvas.grow'), () => canvas.edit(mask => maskBits.grow(mask, by()))),
      act(say('canvas.shrink'), () => canvas.edit(mask => maskBits.grow(mask, -by()))),
      act(say('canvas.feather'), () => canvas.edit(mask => maskBits.feather(mask, by()))),
    ),
    make('hr'),
    make(
      'div',
      { class: 'acts' },
      act(say('canvas.load_mask'), () => file.click()),
      act(say('canvas.save_mask'), saveMask),
      file,
    ),
  );
  menu.addEventListener('toggle', () => {
    if (!menu.matches(':popover-open')) return;
    const { right, top } = more.getBoundingClientRect();
    menu.style.left = `${Math.min(right + 8, innerWidth - menu.offsetWidth - 8)}px`;
    menu.style.top = `${Math.max(8, Math.min(top, innerHeight - menu.offsetHeight - 8))}px`;
  });

  async function loadMask(chosen, how) {
    menu.hidePopover();
    try {
      await canvas.loadMask(chosen, how);
      repaint.setView('mask');
    } catch (error) {
      const again = { text: say('canvas.stretch'), act: () => loadMask(chosen, { stretch: true }) };
      const told = error.problem ? error : { problem: say('canvas.no_image'), fix: say('canvas.no_image.fix') };
      repaint.fail(told, told.canStretch ? [again] : []);
    }
  }

  async function saveMask() {
    const url = URL.createObjectURL(await Easel.greyPng(canvas.maskOf(canvas.active)));
    make('a', { href: url, download: 'mask.png' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  function show() {
    const has = Boolean(canvas.node);
    for (const button of tools) patch.attribute(button, 'aria-pressed', button.dataset.tool === hand.brush.tool);
    undo.disabled = !canvas.canUndo;
    redo.disabled = !canvas.canRedo;
    invert.disabled = clear.disabled = more.disabled = !has;
    node.hidden = !has;
  }
  return { node, menu, show, loadMask };
};

Easel.brushBar = hand => {
  const { make, say, repaint, canvas } = Easel;
  const MOST = 400; // of the slider; keys and wheel go further

  /** Small sizes lie as far apart as large ones. */
  function slider(label, { from, to, get, set, told }) {
    const range = make('input', {
      type: 'range',
      class: 'ez',
      min: 0,
      max: 100,
      step: 0.5,
      'aria-label': label,
      oninput: () => set(to(range.valueAsNumber / 100)),
    });
    const number = make('output');
    return {
      node: make('label', {}, label, range, number),
      show() {
        const share = 100 * Math.min(1, from(get()));
        if (Math.abs(range.valueAsNumber - share) > 0.5) range.value = share;
        range.style.setProperty('--range_progress', `${share}%`);
        range.setAttribute('aria-valuetext', told(get()));
        number.textContent = told(get());
      },
    };
  }
  const percent = name => ({
    from: value => value,
    to: share => Math.round(share * 100) / 100,
    get: () => hand.brush[name],
    set: value => hand.change({ [name]: name === 'strength' ? Math.max(0.05, value) : value }),
    told: value => `${Math.round(value * 100)} %`,
  });
  const parts = [
    slider(say('canvas.size'), {
      from: size => Math.log(size) / Math.log(MOST),
      to: share => Math.max(1, Math.round(MOST ** share)),
      get: () => hand.brush.size,
      set: size => hand.change({ size }),
      told: size => `${Math.round(size)} px`,
    }),
    slider(say('canvas.hardness'), percent('hardness')),
    slider(say('canvas.strength'), percent('strength')),
  ];
  const node = make(
    'div',
    { class: 'float options', role: 'group', 'aria-label': say('canvas.brush') },
    parts.map(part => part.node),
  );
  function show() {
    const { tool } = hand.brush;
    node.hidden = !canvas.node || tool === 'hand' || repaint.view !== 'mask' || Boolean(repaint.problem);
    parts[0].node.hidden = parts[1].node.hidden = !['brush', 'eraser'].includes(tool);
    for (const part of parts) part.show();
  }
  return { node, show };
};

Easel.viewBar = view => {
  const { make, icon, patch, say, canvas, repaint } = Easel;
  const VIEWS = ['mask', 'after', 'difference'];
  const buttons = VIEWS.map(name =>
    make('button', { 'data-view': name, onclick: () => repaint.setView(name) }, say(`canvas.view.${name}`)),
  );
  const split = make('input', {
    type: 'range',
    class: 'ez',
    min: 0,
    max: 100,
    step: 1,
    'aria-label': say('canvas.split'),
    oninput: () => view.setSplit(split.valueAsNumber),
  });
  const told = make('span', { class: 'told', role: 'status' });
  const next = make(
    'button',
    { class: 'btn', id: 'go-on', title: say('canvas.next.title'), onclick: () => repaint.goOn() },
    icon('next'),
    say('canvas.next'),
  );
  const enlarge = make(
    'button',
    { class: 'btn sq', 'aria-label': say('picture.upscale'), title: say('picture.upscale.title'), onclick: send },
    icon('upscale'),
  );
  function send() {
    const { shown } = repaint;
    Easel.upscale.send(Easel.pictures.readable(shown));
  }
  const keep = say('picture.save');
  const save = make('a', { class: 'btn sq', 'aria-label': keep, title: keep }, icon('save'));
  const zoom = make('button', {
    class: 'zoom',
    title: say('canvas.zoom'),
    onclick: () => view.zoom(1 / (view.at.z * devicePixelRatio)),
  });
  const node = make(
    'div',
    { class: 'float views' },
    make('div', { class: 'seg', role: 'group', 'aria-label': say('canvas.views') }, buttons),
    split,
    told,
    next,
    enlarge,
    save,
    zoom,
  );

  function show() {
    const { shown, difference } = repaint;
    const how = repaint.view;
    const hasResult = Boolean(shown || canvas.node?.results.length);
    node.hidden = !canvas.node || Boolean(repaint.problem) || (how === 'mask' && Boolean(repaint.live));
    for (const button of buttons) {
      patch.attribute(button, 'aria-pressed', button.dataset.view === how);
      button.disabled = button.dataset.view !== 'mask' && !hasResult;
      if (button.dataset.view === 'difference' && isAllNew(shown)) button.disabled = true;
    }
    split.hidden = how !== 'after';
    split.value = view.split;
    split.style.setProperty('--range_progress', `${view.split}%`);
    next.hidden = enlarge.hidden = save.hidden = how === 'mask' || !shown;
    if (shown?.url) {
      save.href = shown.url;
      save.download = shown.file.split('/').at(-1);
    }
    told.hidden = how !== 'difference';
    patch.text(told, how === 'difference' ? counted(difference) : '');
    told.classList.toggle('danger', Boolean(difference?.outside));
    patch.text(zoom, `${Math.round(view.at.z * devicePixelRatio * 100)} %`);
    patch.attribute(zoom, 'aria-label', say('canvas.zoom_at', { n: Math.round(view.at.z * devicePixelRatio * 100) }));
  }

  /** There is nothing that should have stayed. */
  const isAllNew = result =>
    result?.request?.kind === 'inpaint' &&
    !result.request.mask &&
    !result.request.regions.length &&
    !Object.values(result.request.border).some(Boolean);

  const number = new Intl.NumberFormat(document.documentElement.lang || 'en');
  function counted(difference) {
    if (!difference) return say('canvas.counting');
    const { changed, outside } = difference;
    return say('canvas.counted', { changed: number.format(changed), outside: number.format(outside) });
  }
  return { node, show };
};
