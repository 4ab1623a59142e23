// The studio's events as they happen, over our own WebSocket. Knows every active job, of this page or any other.
Easel.live = (() => {
  const MOST_REMEMBERED = 60,
    FIRST_WAIT = 500,
    LONGEST_WAIT = 8000;
  const news = {
    job: Easel.signal(),
    model: Easel.signal(), // what is done to one
    desk: Easel.signal(), // previews of the mixing desk
    models: Easel.signal(), // the list has changed
    device: Easel.signal(),
    preview: Easel.signal(),
    connection: Easel.signal(),
  };
  const jobs = new Map();
  const previews = new Map(); // job -> { url, box }: the latest, and which part of a larger picture it is
  const latest = new Map(); // job -> view, of what is no picture for the stage
  let socket = null,
    device = null,
    connected = false,
    wait = FIRST_WAIT;

  const ENDS = new Set(['done', 'error']);
  const PICTURES = new Set(['generate', 'inpaint', 'upscale']);
  const hasEnded = view => ENDS.has(view.stage);

  function connect() {
    socket = new WebSocket(new URL('ws', document.baseURI).href.replace(/^http/, 'ws'));
    socket.binaryType = 'arraybuffer';
    socket.onopen = begin;
    socket.onmessage = frame => (typeof frame.data === 'string' ? hear(JSON.parse(frame.data)) : receive(frame.data));
    socket.onclose = () => {
      setConnected(false);
      setTimeout(connect, wait);
      wait = Math.min(wait * 1.6, LONGEST_WAIT);
    };
  }

  function begin() {
    wait = FIRST_WAIT;
    const before = new Set([...jobs.keys(), Easel.memory.get('job')].filter(Boolean));
    jobs.clear();
    setConnected(true);
    setTimeout(() => before.forEach(settle), 1000); // by then the server has named every job that still lives
  }

  function setConnected(now) {
    connected = now;
    news.connection.tell(connected);
  }

  function hear(frame) {
    if (frame.type === 'device') {
      device = frame.view;
      news.device.tell(device);
    }
    if (frame.type === 'models') news.models.tell();
    if (frame.type === 'view') take({ ...frame.view, job: frame.job });
  }

  function take(view) {
    if (view.kind !== 'generate') remember(view);
    if (view.kind === 'preview' || view.kind === 'sheet') {
      news.desk.tell(view);
      if (hasEnded(view)) forget(view.job);
      return;
    }
    if (view.kind && !PICTURES.has(view.kind)) {
      news.model.tell(view); // what is done to models is shown with the models
      return;
    }
    if (hasEnded(view)) {
      jobs.delete(view.job);
      forget(view.job);
      if (Easel.memory.get('job') === view.job) Easel.memory.set('job', null);
    } else {
      jobs.set(view.job, view);
    }
    news.job.tell(view);
  }

  /** Quick work may end before whoever asked for it knows its job: the latest word about each is kept for a while. */
  function remember(view) {
    latest.delete(view.job);
    latest.set(view.job, view);
    if (latest.size > MOST_REMEMBERED) latest.delete(latest.keys().next().value);
  }

  /** A preview: header length, header, JPEG. Shown from a blob URL; the one before is given back. */
  function receive(buffer) {
    const length = new DataView(buffer).getUint32(0);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const url = URL.createObjectURL(new Blob([new Uint8Array(buffer, 4 + length)], { type: 'image/jpeg' }));
    const old = previews.get(header.job)?.url;
    previews.set(header.job, { url, box: header.box });
    news.preview.tell(header.job, url);
    if (old) setTimeout(() => URL.revokeObjectURL(old), 1000);
  }

  function forget(job) {
    const url = previews.get(job)?.url;
    previews.delete(job);
    if (url) setTimeout(() => URL.revokeObjectURL(url), 5000);
  }

  /** A job that was known and is no longer active ended while nobody listened: find out how. */
  async function settle(job) {
    if (jobs.has(job)) return;
    try {
      const ended = await Easel.ask(`api/jobs/${job}`);
      if (ended.state === 'failed') take(failed(ended));
      else if (ended.state !== 'queued' && ended.state !== 'running')
        take({ job, kind: ended.request.kind, stage: 'done', images: ended.pictures });
    } catch (error) {
      console.warn(error);
      Easel.memory.set('job', null);
    }
  }

  const failed = ended => ({
    job: ended.id,
    kind: ended.request.kind,
    stage: 'error',
    title: ended.problem.problem,
    line: ended.problem.fix,
    problem: ended.problem,
    images: ended.pictures,
    fixes: [{ text: Easel.say('fix.again'), values: { ...ended.request, fresh_seed: false } }],
  });

  /** Whether the studio took the order. */
  async function stop(job, mode) {
    try {
      await Easel.ask(`api/jobs/${encodeURIComponent(job)}/stop`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ mode }),
        signal: AbortSignal.timeout(LONGEST_WAIT),
      });
      return true;
    } catch (error) {
      console.warn('The job could not be stopped', error);
      return false;
    }
  }

  /** The job of Generate at work, or its next one. */
  function present() {
    const mine = [...jobs.values()].filter(view => view.kind === 'generate');
    return mine.find(view => view.stage !== 'queued') ?? mine[0] ?? null;
  }

  connect();
  return {
    news,
    jobs,
    stop,
    present,
    hasEnded,
    preview: job => previews.get(job)?.url,
    look: job => previews.get(job),
    latest: job => latest.get(job),
    get device() {
      return device;
    },
    get connected() {
      return connected;
    },
  };
})();
