// Models fetched from elsewhere: where to write what is wanted, and how far each is.
Easel.downloads = () => {
  const { make, icon, patch, renew, say, models } = Easel;
  const EVERY = 1000; // milliseconds between two questions while something is on its way
  let list = [],
    timer = null;

  const source = make('input', {
    type: 'text',
    placeholder: say('downloads.hint'),
    'aria-label': say('downloads.source'),
    spellcheck: false,
    autocapitalize: 'off',
    maxlength: 2000,
    oninput: () => tell(''),
  });
  const reason = make('p', { class: 'reason danger', role: 'alert', hidden: true });
  const rows = make('ul', { class: 'downloads', 'aria-label': say('downloads.list') });
  const form = make(
    'form',
    { class: 'row', onsubmit: begin },
    source,
    make('button', { class: 'btn solid', type: 'submit' }, say('downloads.get')),
  );
  const note = make('p', { class: 'reason' }, say('downloads.note'));
  const node = make('div', { class: 'fetch', hidden: true, onkeydown: keys }, form, note, reason, rows);
  const button = make(
    'button',
    { class: 'btn', 'aria-expanded': false, onclick: () => open(node.hidden) },
    icon('save'),
    say('downloads.open'),
  );

  function open(wanted) {
    node.hidden = !wanted;
    button.setAttribute('aria-expanded', wanted);
    if (wanted) source.focus();
  }

  function keys(event) {
    if (event.key !== 'Escape') return;
    open(false);
    button.focus();
  }

  function tell(text) {
    patch.text(reason, text);
    reason.hidden = !text;
  }

  async function begin(event) {
    event.preventDefault();
    if (!source.value.trim()) return source.focus();
    try {
      await Easel.ask('api/downloads', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ source: source.value }),
      });
      source.value = '';
      tell('');
      await look();
    } catch (error) {
      tell(`${error.problem ?? error.message}; ${error.fix ?? ''}`);
    }
  }

  async function end(download) {
    await Easel.ask(`api/downloads/${download.id}`, { method: 'DELETE' }).catch(console.warn);
    await look();
  }

  /** Ask how far they are, and again while one is running. */
  async function look() {
    clearTimeout(timer);
    const before = new Set(list.filter(isRunning).map(one => one.id));
    try {
      list = await Easel.ask('api/downloads');
    } catch (error) {
      console.warn(error);
    }
    draw();
    if (list.some(one => one.state === 'finished' && before.has(one.id))) models.refresh().catch(console.warn);
    if (list.some(isRunning)) timer = setTimeout(look, EVERY);
  }

  const isRunning = download => download.state === 'running';

  function draw() {
    if (list.some(isRunning) && node.hidden) open(true);
    renew(rows, list.map(row));
  }

  function row(download) {
    const name = download.name || download.source;
    const failed = download.problem && `${download.problem.problem}; ${download.problem.fix}`;
    const act = say(isRunning(download) ? 'downloads.stop' : 'downloads.dismiss', { name });
    return make(
      'li',
      { 'data-key': download.id, 'data-state': download.state },
      make('b', { title: download.source }, name),
      make('span', { class: failed ? 'reason danger' : 'reason' }, failed ?? line(download)),
      make(
        'button',
        { class: 'btn sq', 'aria-label': act, title: act, onclick: () => end(download) },
        icon('close'),
      ),
      isRunning(download) && make('i', { style: `--p:${share(download) * 100}%`, 'aria-hidden': true }),
    );
  }

  const share = ({ done, total }) => (total ? done / total : 0);

  function line(download) {
    if (!isRunning(download)) return say(`downloads.${download.state}`);
    if (!download.total) return say('downloads.looking');
    return say('downloads.running', { done: models.size(download.done), total: models.size(download.total) });
  }

  Easel.live.news.connection.on(isConnected => isConnected && look());
  look();
  return { button, node };
};
