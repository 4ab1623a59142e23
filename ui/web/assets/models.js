// The models there are, as the studio tells of them; what is done to one; and how its card looks.
Easel.models = (() => {
  const { make, icon, say, ask, signal } = Easel;
  const changed = signal(); // the list
  const worked = signal(); // (view): what is done to a model just now
  const renamed = signal(); // (from, to); the list follows
  const offered = signal(); // others than before may be chosen from
  const PAINTS = new Set(['checkpoint', 'unet']);
  const work = new Map(); // model -> view of the job that is at it
  let list = null, // not asked for yet
    asked = 0;

  const send = (method, path, body) =>
    ask(`api/models${path}`, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

  function take(rows) {
    asked += 1; // whatever is still under way is older
    list = rows;
    changed.tell(list);
    return rows;
  }

  /** Of several answers that are under way at once, only the one asked for last is taken. */
  async function refresh() {
    const mine = ++asked;
    const rows = await ask('api/models');
    return mine === asked ? take(rows) : list;
  }
  const scan = async () => take(await ask('api/models/scan', { method: 'POST' }));
  const detail = name => ask(`api/models/detail?name=${encodeURIComponent(name)}`);
  const choose = async name => take(await send('PUT', '/default', { name }));
  // The key says which model was looked at: another one may have its name by now.
  const trash = async ({ name, key }) => take(await send('POST', '/trash', { name, key }));
  const reveal = name => send('POST', '/reveal', { name });

  async function note(name, what) {
    const known = await send('PUT', '/note', { name, ...what });
    if ('hidden' in what) offered.tell();
    return known;
  }

  async function rename({ name, key }, to) {
    const answer = await send('POST', '/rename', { name, key, to });
    renamed.tell(name, answer.name);
    take(answer.models);
  }

  /** A job about a model: load, unload, verify or convert. */
  const request = asked =>
    ask('api/jobs', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(asked),
    });

  Easel.live.news.model.on(view => {
    const isOver = Easel.live.hasEnded(view);
    if (isOver) work.delete(view.model);
    else work.set(view.model, view);
    worked.tell(view);
    if (isOver) refresh().catch(console.warn);
  });

  Easel.live.news.models.on(offered.tell);
  Easel.live.news.connection.on(isConnected => {
    if (!isConnected) return;
    work.clear(); // what still goes on is told anew
    offered.tell(); // what came or went meanwhile was told to nobody
    if (list) refresh().catch(console.warn);
  });

  function size(bytes) {
    if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
    return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
  }

  /** What stands in small frames under the name. */
  const tags = model =>
    [model.family, PAINTS.has(model.kind) && model.task !== 'upscaling' ? model.dtype : model.detail, size(model.size)]
      .filter(Boolean)
      .map(text => make('span', { class: 'tag' }, text));

  const kindLine = model =>
    model.detail.toLowerCase().startsWith(kindName(model).toLowerCase())
      ? model.detail
      : [kindName(model), model.detail].filter(Boolean).join(', ');

  const kindName = model => say(`kind.${model.kind.replace(' ', '_')}`);

  const inMemory = model => Boolean(Easel.live.device?.models?.includes(model.name));

  function line(model, isChosen) {
    const many = model.pictures === 1 ? 'models.one_picture' : 'models.pictures';
    const use = model.pictures ? say(many, { n: model.pictures }) : say('models.unused');
    const first = isChosen ? say('models.in_use') : model.starter ? say('models.starter') : null;
    return [first, inMemory(model) && say('models.in_memory'), use].filter(Boolean).join(' · ');
  }

  const face = model =>
    model.damaged
      ? make('div', { class: 'face broken' }, icon('warn', 28))
      : make(
          'div',
          { class: 'face' },
          model.picture
            ? make('img', { loading: 'lazy', src: model.picture, alt: '' })
            : make('span', { class: 'blank', 'aria-hidden': 'true' }, icon('models', 28)),
          make('span', { class: 'kind' }, kindName(model)),
        );

  return {
    changed,
    worked,
    renamed,
    offered,
    refresh,
    scan,
    detail,
    note,
    choose,
    trash,
    rename,
    reveal,
    request,
    size,
    tags,
    kindName,
    kindLine,
    line,
    inMemory,
    face,
    paints: model => PAINTS.has(model.kind) && model.task !== 'upscaling' && !model.problem,
    workOn: name => work.get(name),
    get list() {
      return list ?? [];
    },
  };
})();
