// The stage's six states as elements. Each returns { node, update }: built once, then only patched while it lasts.
Easel.views = (() => {
  const { make, svg, icon, patch, say } = Easel;

  const button = (text, attributes, iconName) =>
    make('button', { class: 'btn', ...attributes }, iconName && icon(iconName), text);
  const iconButton = (name, label, attributes) =>
    make('button', { class: 'btn sq', 'aria-label': label, title: label, ...attributes }, icon(name));

  function frame(width, height, ...inside) {
    const figure = make('figure', { class: 'pic' }, inside);
    shape(figure, width, height);
    return { box: make('div', { class: 'frame' }, figure), figure };
  }

  function shape(figure, width, height) {
    if (width && height) figure.style.setProperty('--ar', width / height);
  }

  function empty({ ideas, onIdea }) {
    const node = make(
      'div',
      { class: 'invite' },
      icon('easel', 48),
      make('h2', {}, say('empty.title')),
      make('p', {}, say('empty.text')),
      make(
        'div',
        { class: 'ideas' },
        ideas.map(idea => make('button', { class: 'chip big', onclick: () => onIdea(idea) }, idea)),
      ),
    );
    return { node, update() {} };
  }

  function disabled() {
    const title = make('h2');
    const line = make('p');
    const node = make('div', { class: 'invite off', role: 'status' }, icon('easel', 48), title, line);
    return {
      node,
      update({ problem }) {
        patch.text(title, problem.problem);
        patch.text(line, sentence(problem.fix));
      },
    };
  }

  function ring() {
    const on = svg('circle', { class: 'on', cx: 18, cy: 18, r: 15, pathLength: 100, 'stroke-dasharray': '0 100' });
    const node = svg(
      'svg',
      { class: 'ring', viewBox: '0 0 36 36', 'aria-hidden': 'true' },
      svg('circle', { cx: 18, cy: 18, r: 15 }),
      on,
    );
    return { node, set: share => patch.attribute(on, 'stroke-dasharray', `${Math.round(share * 100)} 100`) };
  }

  /** How far a job is, and its two ways to stop. The element around it must be a `.stage` or take the focus itself. */
  function progress({ onStop }) {
    const title = make('b');
    const line = make('span');
    const dial = ring();
    const spoken = make('p', { class: 'spoken', role: 'status' });
    const after = button(say('stage.stop_after'), {
      title: say('stage.stop_after.title'),
      onclick: () => stop('after_picture'),
    });
    const now = button(say('stage.stop_now'), {
      class: 'btn danger',
      title: say('stage.stop_now.title'),
      onclick: () => stop('now'),
    });
    const told = make('div', { class: 'grow' }, title, line);
    const node = make('div', { class: 'hud' }, dial.node, told, after, now, spoken);
    let quarter = '';
    let job = '';
    let lastLine = ''; // what stands there when this picture is the last one
    let isLast = false;

    async function stop(mode) {
      const asked = job;
      if (node.contains(document.activeElement)) node.closest('[tabindex]').focus({ preventScroll: true });
      after.disabled = true;
      if (mode === 'now') now.disabled = true;
      else {
        isLast = true;
        patch.text(after, say('stage.stopping_after'));
        patch.text(line, lastLine);
      }
      const isTaken = await onStop(mode);
      if (!isTaken && job === asked) offerStop();
    }

    function offerStop() {
      isLast = false;
      after.disabled = now.disabled = false;
      patch.text(after, say('stage.stop_after'));
    }

    function update(view) {
      if (job !== view.job) {
        job = view.job;
        offerStop();
      }
      dial.node.classList.toggle('waiting', view.stage !== 'running');
      dial.set(view.stage === 'running' ? view.share : 0.25);
      patch.text(title, view.title);
      lastLine = view.last_line;
      patch.text(line, isLast && lastLine ? lastLine : view.line);
      after.hidden = view.count - view.picture < 1 || view.stage !== 'running';
      announce(view);
    }

    function announce(view) {
      const mark = `${view.stage} ${view.picture} ${Math.floor(view.share * 4)} ${view.notice}`;
      if (mark !== quarter) patch.text(spoken, [view.notice, view.title, view.line].filter(Boolean).join('. '));
      quarter = mark;
    }

    return { node, update };
  }

  /** A job at work: queued, loading or running; the last picture stands dimmed behind until there is a preview. */
  function running({ onStop }) {
    const image = make('img', { alt: '' });
    const bar = make('i', { class: 'bar' });
    const { box, figure } = frame(1, 1, image, bar);
    const notice = make('p', { class: 'notice' });
    const hud = progress({ onStop });

    function update({ view, preview, backdrop }) {
      const source = preview ?? backdrop;
      figure.hidden = !source;
      if (source) patch.attribute(image, 'src', source);
      figure.classList.toggle('dim', !preview);
      shape(figure, view.width, view.height);
      image.alt = preview ? say('stage.preview_of', { picture: view.picture }) : '';
      bar.style.setProperty('--p', `${view.share * 100}%`);
      patch.text(notice, view.notice);
      notice.hidden = !view.notice;
      hud.update(view);
    }

    return { node: [box, notice, hud.node], update };
  }

  function done({ onReuse, onDetails, onRepaint, onUpscale }) {
    const image = make('img', { alt: '' });
    const { box, figure } = frame(1, 1, image);
    const save = make(
      'a',
      { class: 'btn sq', id: 'save-copy', 'aria-label': say('picture.save'), title: `${say('picture.save')} (S)` },
      icon('save'),
    );
    const info = iconButton('info', say('picture.details'), {
      onclick: onDetails,
      title: `${say('picture.details')} (I)`,
    });
    const lost = make('p', { class: 'notice' }, say('picture.missing'));
    const reuse = button(say('picture.reuse'), { onclick: onReuse }, 'again');
    const repaintWords = { onclick: onRepaint, title: say('picture.repaint.title') };
    const repaint = button(say('picture.repaint'), repaintWords, 'inpaint');
    const upscaleWords = { onclick: onUpscale, title: say('picture.upscale.title') };
    const upscale = button(say('picture.upscale'), upscaleWords, 'upscale');
    const tools = make(
      'div',
      { class: 'hud tools', role: 'toolbar', 'aria-label': say('picture.tools') },
      reuse,
      repaint,
      upscale,
      make('i', { class: 'sep' }),
      save,
      info,
    );

    function update({ picture, details }) {
      const source = Easel.pictures.onScreen(picture);
      if (image.getAttribute('src') !== source) {
        image.src = source;
        figure.style.animation = 'none';
        void figure.offsetWidth; // so that the new picture fades in as well
        figure.style.animation = '';
      }
      shape(figure, picture.width, picture.height);
      image.alt = picture.request.prompt;
      save.href = picture.url;
      save.download = picture.file.split('/').at(-1);
      patch.attribute(info, 'aria-pressed', details);
      reuse.disabled = !picture.known;
      repaint.disabled = upscale.disabled = picture.missing;
      lost.hidden = !picture.missing;
    }

    return { node: [box, lost, tools], update };
  }

  function error({ onFix }) {
    const title = make('h2');
    const line = make('p');
    const acts = make('div', { class: 'acts' });
    const pre = make('pre');
    const detail = make('details', {}, make('summary', {}, say('error.detail')), pre);
    const node = make(
      'div',
      { class: 'problem', role: 'alert' },
      make('div', { class: 'tag' }, icon('warn', 20)),
      make('div', {}, title, line, acts, detail),
    );

    let shown = null;

    function update({ view }) {
      if (view === shown) return; // a job that goes on meanwhile must not take a button from under the pointer
      shown = view;
      patch.text(title, view.title);
      patch.text(line, sentence(view.line));
      acts.replaceChildren(
        ...view.fixes.map((fix, k) =>
          button(fix.text, { class: k === 0 ? 'btn solid' : 'btn', onclick: () => onFix(fix) }),
        ),
      );
      acts.hidden = !view.fixes.length;
      patch.text(pre, view.problem?.detail ?? '');
      detail.hidden = !view.problem?.detail;
    }

    return { node, update };
  }

  const sentence = text => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`;

  /** What `error` shows of something that was thrown: { problem, fix, field }, or a script's own fault. */
  function failure(thrown, fixes = []) {
    const problem = { problem: thrown.problem ?? thrown.message, fix: thrown.fix ?? '', field: thrown.field ?? '' };
    return { stage: 'error', title: problem.problem, line: problem.fix, problem, fixes };
  }

  return { empty, disabled, progress, running, done, error, failure };
})();
