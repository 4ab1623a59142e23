// What floats over the pictures of the Upscale page: how they are looked at above, what came out and what to do with
// it below.
Easel.upscaleViews = view => {
  const { make, icon, patch, say, upscale } = Easel;
  const MODES = ['split', 'side', 'levels'];
  const buttons = MODES.map(name =>
    make('button', { 'data-mode': name, onclick: () => upscale.setMode(name) }, say(`upscale.mode.${name}`)),
  );
  const modes = make('div', { class: 'seg', role: 'group', 'aria-label': say('canvas.views') }, buttons);
  const fit = make(
    'button',
    { class: 'btn sq', 'aria-label': say('canvas.fit'), title: say('canvas.fit'), onclick: view.fit },
    icon('fit', 18),
  );
  const whole = make(
    'button',
    { class: 'btn', 'aria-label': say('upscale.whole'), title: say('upscale.whole'), onclick: view.whole },
    '1:1',
  );
  const percent = make('span', { class: 'percent' });
  const rule = make('i', { class: 'sep' });
  const node = make('div', { class: 'float looks' }, modes, rule, fit, whole, percent);

  function show(stage) {
    const isDone = stage.name === 'done';
    node.hidden = ['empty', 'error'].includes(stage.name);
    modes.hidden = rule.hidden = !isDone || !stage.before;
    for (const button of buttons) {
      const { mode } = button.dataset;
      button.hidden = mode === 'levels' && !upscale.hasLevels(stage.after);
      patch.attribute(button, 'aria-pressed', mode === upscale.mode);
    }
    zoomed();
  }

  function zoomed() {
    patch.text(percent, `${view.percent} %`);
    patch.attribute(percent, 'aria-label', say('canvas.zoom_at', { n: view.percent }));
  }
  view.moved.on(zoomed);
  return { node, show };
};

/** What came out, in words, and where it can go from here. */
Easel.upscaleResult = () => {
  const { make, icon, patch, say, upscale } = Easel;
  const title = make('b');
  const line = make('span');
  const act = (name, label, tip, onclick) =>
    make('button', { class: 'btn', onclick, title: tip }, icon(name), make('span', {}, label));
  let picture = null;
  const save = make('a', { class: 'btn sq save', title: `${say('picture.save')} (S)` }, icon('save'));
  save.setAttribute('aria-label', say('picture.save'));
  const on = act('upscale', say('upscale.on'), say('upscale.on.title'), () => upscale.openImage(picture));
  const paint = act('inpaint', say('picture.repaint'), say('picture.repaint.title'), () => Easel.repaint.send(picture));
  const words = act('generate', say('upscale.words'), say('upscale.words.title'), toGenerate);
  const tools = make(
    'div',
    { class: 'hud tools result', role: 'group', 'aria-label': say('upscale.result') },
    make('div', { class: 'grow' }, title, line),
    on,
    paint,
    words,
    make('i', { class: 'sep' }),
    save,
  );

  function toGenerate() {
    const fields = Easel.form.settingsOf(picture);
    const NAMES = ['model', 'vae', 'prompt', 'negative_prompt', 'sampler', 'schedule', 'steps', 'cfg', 'clip_skip'];
    const told = [...NAMES, 'loras', 'seed', 'fresh_seed'].filter(name => fields[name] !== undefined);
    document.querySelector('[data-tab-id="generate"]')?.click();
    Easel.form.fill(Object.fromEntries(told.map(name => [name, fields[name]])));
  }

  function facts({ seconds, asked, infotext }) {
    const seams = Easel.upscaleTold(infotext, 'Seams');
    const { noise_levels: levels = [], upscaler, strength } = asked;
    return [
      Easel.upscaleName(upscaler),
      strength > 0 && say('upscale.redrawn', { n: Math.round(strength * 100) }),
      levels.length > 0 && say('upscale.level', { n: levels[picture.index] ?? levels[0] }),
      seconds > 0 && say('picture.seconds', { n: seconds.toFixed(1) }),
      seams && say('upscale.seams', { n: seams }),
    ].filter(Boolean);
  }

  function show(stage) {
    tools.hidden = stage.name !== 'done' || upscale.mode === 'levels';
    if (stage.name !== 'done') return;
    picture = stage.after;
    const { before } = stage;
    const after = `${picture.width} × ${picture.height}`;
    const sizes = before ? say('upscale.sizes', { before: `${before.width} × ${before.height}`, after }) : after;
    const share = Easel.upscaleTold(picture.infotext, 'Finished');
    patch.text(title, share ? say('upscale.kept', { n: share.replace('%', ' %') }) : sizes);
    patch.text(line, facts(picture).join(' · '));
    tools.classList.toggle('partly', Boolean(share));
    words.hidden = !picture.request.prompt;
    for (const button of [on, paint]) button.disabled = picture.missing;
    save.href = picture.url;
    save.download = picture.file.split('/').at(-1);
  }
  return { node: tools, show };
};

/** A number that the text of a picture tells: `Seams: 1.02`. */
Easel.upscaleTold = (text, name) => new RegExp(`\\b${name}: ([\\d.]+%?)`).exec(text ?? '')?.[1] ?? null;

/** An upscaler as people call it. */
Easel.upscaleName = name => {
  const known = { lanczos: 'Lanczos', bicubic: 'Bicubic', nearest: Easel.say('upscale.nearest') };
  return known[name] ?? name;
};
