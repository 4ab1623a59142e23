// Several files at once: each is brought to the studio, named if it is no picture, and becomes a job of its own. The
// list says how each of them stands; it is still there after a reload, but for files that were not brought yet.
Easel.upscaleFiles = (() => {
  const { say, signal } = Easel;
  const state = Easel.upscaleState;
  const TYPES = /\.(png|jpe?g|webp|avif|gif|bmp|tiff?)$/i;
  const changed = signal();
  let rows = [], // { key, name, state, source, job, problem, line, images }
    turn = 0; // a newer list leaves an older one behind

  const remembered = JSON.parse(sessionStorage.getItem('easel.upscale.files') ?? '[]');
  rows = remembered.filter(row => row.source || row.problem);

  function tell() {
    try {
      sessionStorage.setItem('easel.upscale.files', JSON.stringify(rows.map(({ thumb, ...row }) => row)));
    } catch (error) {
      console.warn(error); // a list too long to be kept is still there until the page is left
    }
    changed.tell();
    Easel.upscale.changed.tell();
  }

  function set(row, what) {
    rows = rows.map(one => (one.key === row.key ? { ...one, ...what } : one));
    tell();
  }

  /** One picture is opened; of several, all that are pictures by their names, and what cannot be read says so. */
  async function open(files) {
    const all = [...files];
    if (!all.length) return;
    if (all.length === 1) {
      clear();
      await Easel.upscale.openFile(all[0]);
      return;
    }
    const wanted = all.filter(file => TYPES.test(file.name) || file.type.startsWith('image/'));
    wanted.sort((a, b) => (a.webkitRelativePath || a.name).localeCompare(b.webkitRelativePath || b.name));
    const mine = (turn += 1);
    rows = wanted.map((file, k) => ({ key: `${mine}-${k}`, name: file.name, state: 'waiting', images: [] }));
    tell();
    for (const [k, file] of wanted.entries()) {
      if (turn !== mine) return;
      await bring(rows[k], file, mine);
    }
  }

  async function bring(row, file, mine) {
    try {
      const source = await state.bring(file);
      const thumb = await small(file);
      if (turn !== mine) return;
      set(row, { state: 'ready', source, thumb });
      if (rows.find(one => one.source).key === row.key) await look(rows.find(one => one.key === row.key));
    } catch (error) {
      if (turn === mine) set(row, { state: 'broken', problem: pair(error) });
    }
  }

  /** A face for the list, so that it need not hold the whole pictures. */
  async function small(file) {
    try {
      const bitmap = await createImageBitmap(file, { resizeWidth: 80 });
      const sheet = new OffscreenCanvas(bitmap.width, Math.min(bitmap.height, 160));
      sheet.getContext('2d').drawImage(bitmap, 0, 0);
      bitmap.close();
      const blob = await sheet.convertToBlob({ type: 'image/jpeg', quality: 0.7 });
      return await new Promise(resolve => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(blob);
      });
    } catch {
      return ''; // of a kind that this browser does not show
    }
  }

  const pair = error => ({ problem: error.problem ?? error.message, fix: error.fix ?? '' });

  /** The picture of a row on the stage: its result, if there is one. */
  async function look(row) {
    if (!row.source) return;
    const result = row.images.length && Easel.upscale.results().find(one => one.id === row.images.at(-1));
    if (result) await Easel.upscale.choose(result);
    else await Easel.upscale.bring(async () => state.take(row.source, { name: row.name }));
  }

  const isActive = () => rows.some(row => ['queued', 'running'].includes(row.state));

  /** Those that a press asks for: what waits, or, when all have been asked for, all of them again. */
  function ready() {
    const fresh = rows.filter(row => row.source && !row.job);
    return fresh.length || isActive() ? fresh : rows.filter(row => row.source);
  }

  /** `send(row)` makes each a job; what is refused is said in its row, and the others go on. */
  async function submit(send) {
    for (const row of ready()) {
      try {
        const job = await send(row);
        set(row, { state: 'queued', line: '', problem: null, images: [], job });
        const told = Easel.live.latest(job);
        if (told) hear(told); // quick work may be done before its job is known here
      } catch (error) {
        set(row, { state: 'refused', problem: pair(error), job: 'none' });
      }
    }
  }

  const ENDED = { done: 'done', error: 'failed' };
  const has = job => rows.some(row => row.job === job);

  function hear(told) {
    const row = rows.find(one => one.job === told.job);
    if (!row) return;
    const ended = told.stage === 'done' && !told.images?.length ? 'stopped' : ENDED[told.stage];
    const line = [told.title, told.line].filter(Boolean).join(' · ');
    const problem = told.stage === 'error' ? { problem: told.title, fix: told.line } : null;
    const now = ended ?? (told.stage === 'queued' ? 'queued' : 'running');
    set(row, { state: now, line, problem, images: told.images ?? [], share: told.share ?? 0 });
  }

  /** What ended while this page was away. */
  async function settle() {
    for (const row of rows.filter(one => one.job && one.job !== 'none' && ['queued', 'running'].includes(one.state))) {
      try {
        const job = await Easel.ask(`api/jobs/${row.job}`);
        if (job.state === 'queued' || job.state === 'running') continue;
        const { problem = '', fix = '' } = job.problem ?? {};
        const stage = job.state === 'failed' ? 'error' : 'done';
        hear({ job: row.job, stage, title: problem, line: fix, images: job.pictures });
      } catch (error) {
        console.warn(error);
        set(row, { state: 'stopped', line: '' });
      }
    }
  }

  async function stop() {
    const active = rows.filter(row => ['queued', 'running'].includes(row.state));
    await Promise.all(active.reverse().map(row => Easel.live.stop(row.job, 'now')));
  }

  function clear() {
    turn += 1;
    rows = [];
    tell();
  }

  const shown = () => (Easel.upscale.sample ? (Easel.upscale.sample.rows ?? []) : rows);
  const count = name => shown().filter(row => row.state === name).length;

  /** In a few words how far all of them are. */
  function summary() {
    const bad = count('broken') + count('refused') + count('failed');
    const told = [say('upscale.files.done', { done: count('done'), n: shown().length })];
    if (bad) told.push(say('upscale.files.bad', { n: bad }));
    return told.join(' · ');
  }

  return {
    changed,
    open,
    look,
    ready,
    submit,
    has,
    hear,
    settle,
    stop,
    clear,
    summary,
    get rows() {
      return shown();
    },
    get isActive() {
      return isActive();
    },
  };
})();

/** The list over the stage. */
Easel.upscaleFileList = () => {
  const { make, icon, patch, renew, say } = Easel;
  const files = Easel.upscaleFiles;
  const title = make('b');
  const line = make('span', { role: 'status' });
  const close = make(
    'button',
    {
      class: 'btn sq',
      'aria-label': say('upscale.files.close'),
      title: say('upscale.files.close'),
      onclick: files.clear,
    },
    icon('close'),
  );
  const list = make('ul', { class: 'filelist', 'aria-label': say('upscale.files') });
  const stop = make('button', { class: 'btn danger', onclick: files.stop }, say('upscale.files.stop'));
  const node = make(
    'aside',
    { class: 'files', 'aria-label': say('upscale.files'), hidden: true },
    make('header', {}, make('div', { class: 'grow' }, title, line), close),
    list,
    make('div', { class: 'acts' }, stop),
  );

  const ICONS = { done: 'check', broken: 'warn', refused: 'warn', failed: 'warn' };
  const BAD = new Set(['broken', 'refused', 'failed']);

  function told(row) {
    if (row.problem) return [row.problem.problem, row.problem.fix].filter(Boolean).join('; ');
    if (row.state === 'running' && row.line) return row.line;
    if (row.state === 'ready') return sizes(row);
    return say(`upscale.file.${row.state}`);
  }

  function sizes({ source }) {
    const { width, height } = Easel.upscaleState.target(source);
    return say('upscale.sizes', { before: `${source.width} × ${source.height}`, after: `${width} × ${height}` });
  }

  const entry = row =>
    make(
      'li',
      { 'data-key': row.key, class: BAD.has(row.state) ? 'bad' : `is-${row.state}` },
      make(
        'button',
        {
          'data-key': 'look',
          disabled: !row.source,
          'aria-current': row.source && row.source.id === Easel.upscaleState.source?.id,
          onclick: () => files.look(files.rows.find(one => one.key === row.key)),
        },
        row.source
          ? make('img', { src: row.thumb || row.source.url, alt: '', loading: 'lazy' })
          : make('span', { class: 'nopic' }, icon(BAD.has(row.state) ? 'warn' : 'open')),
        make(
          'span',
          { class: 'grow' },
          make('b', { dir: 'auto', title: row.name }, row.name),
          make('small', {}, told(row)),
        ),
        ICONS[row.state] && row.source && icon(ICONS[row.state]),
      ),
      row.state === 'running' && make('i', { class: 'bar', '--p': `${(row.share ?? 0) * 100}%` }),
    );

  function show() {
    const { rows } = files;
    node.hidden = !rows.length;
    if (node.hidden) return;
    patch.text(title, say('upscale.files.n', { n: rows.length }));
    patch.text(line, files.summary());
    renew(list, rows.map(entry));
    stop.hidden = !files.isActive;
  }
  return { node, show };
};
