// What a picture will need of the device's memory, in a line: asked once the fields have come to rest, and when room
// came. `fields()`: what is asked about, or null while nothing can be.
Easel.forecast = fields => {
  const { make, patch, say } = Easel;
  const PAUSE = 2000; // ms at least, between two questions about the same fields
  const REST = 300;
  const node = make('p', { class: 'needs', role: 'status' });
  let resting = 0,
    asking = null,
    askedAt = -PAUSE,
    lastAsked = '';

  const gigabytes = bytes => (bytes < 10e9 ? (bytes / 1e9).toFixed(1) : Math.round(bytes / 1e9));
  const amount = bytes => (bytes < 1e8 ? `${Math.ceil(bytes / 1e6)} MB` : gigabytes(bytes));

  /** The fields have changed. */
  function rest() {
    clearTimeout(resting);
    resting = setTimeout(ask, REST);
  }

  /** The fields are the same, the room may be another. */
  function again() {
    if (performance.now() - askedAt >= PAUSE) ask();
  }

  async function ask() {
    const wanted = fields();
    const device = Easel.live.device;
    const key = JSON.stringify([wanted, device?.label, device?.memory]);
    if (!device?.memory || device.problem || !wanted?.model || key === lastAsked) return;
    lastAsked = key;
    askedAt = performance.now();
    asking?.abort();
    asking = new AbortController();
    try {
      const headers = { 'Content-Type': 'application/json' };
      const body = JSON.stringify(wanted);
      const answer = await fetch('/api/forecast', { method: 'POST', headers, body, signal: asking.signal });
      if (answer.status >= 500) lastAsked = ''; // asked again at the device's next news
      show(answer.ok ? await answer.json() : null, wanted);
    } catch (error) {
      if (error.name !== 'AbortError') lastAsked = ''; // cut off, not overtaken by a newer question
    }
  }

  function show(told, wanted) {
    const isTight = told !== null && told.needs > told.room;
    patch.text(node, told ? (isTight ? tooMuch(told) : howItFits(told, wanted)) : '');
    node.classList.toggle('danger', isTight);
  }

  const tooMuch = ({ needs, room }) => say('bar.too_much', { needs: gigabytes(needs), room: gigabytes(room) });

  const howItFits = (told, wanted) =>
    [
      say('bar.needs', { needs: amount(told.needs), room: gigabytes(told.room) }),
      wanted.hires && say('bar.needs.size', { width: told.width, height: told.height }),
      told.placement !== 'whole' && say(`bar.needs.${told.placement}`),
      told.tiled && say('bar.needs.tiled'),
      told.at_once < Math.min(wanted.batch_size, wanted.count) && say('bar.needs.single'),
    ]
      .filter(Boolean)
      .join('; ');

  Easel.live.news.device.on(again);
  Easel.models.offered.on(() => {
    lastAsked = ''; // the model may be whole now
    rest();
  });
  return { node, rest };
};
