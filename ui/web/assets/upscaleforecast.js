// What an upscale will cost, or why it cannot be done, before it is asked for: the studio is asked once the settings
// have come to rest.
Easel.upscaleForecast = (() => {
  const { ask, signal, say } = Easel;
  const { post } = Easel.desk;
  const state = Easel.upscaleState;
  const REST = 250;
  const changed = signal();
  let told = null, // what the studio said of the present settings
    lastAsked = '',
    resting = 0,
    asking = 0;

  const isAsked = () => state.source && state.upscaler() && state.hasSize() && !Easel.upscale.sample;
  const wanted = () => (isAsked() ? state.order() : null);

  function rest() {
    const key = JSON.stringify(wanted());
    if (key === lastAsked) return;
    lastAsked = key;
    clearTimeout(resting);
    resting = setTimeout(refresh, REST);
  }

  async function refresh() {
    const order = wanted();
    const mine = (asking += 1);
    let found = null;
    if (order)
      try {
        found = await ask('api/upscale/forecast', post(order));
      } catch (error) {
        // A refusal says what is wrong with the order; a studio that cannot tell leaves the question open.
        if (error.field) found = { problem: { problem: error.problem, fix: error.fix, field: error.field } };
        else console.warn('What it costs is not known', error);
      }
    if (mine !== asking) return;
    told = found;
    changed.tell();
  }

  // In words

  const decimal = (value, digits = 1) =>
    value.toLocaleString(document.documentElement.lang || 'en', { maximumFractionDigits: digits });

  function bytes(count) {
    if (count >= 1e9) return `${decimal(count / 1e9)} GB`;
    if (count >= 1e6) return `${decimal(count / 1e6, count < 1e7 ? 1 : 0)} MB`;
    return `${Math.max(1, Math.round(count / 1e3))} kB`;
  }

  function duration(seconds) {
    if (seconds < 1) return say('upscale.time.less');
    if (seconds < 90) return say('upscale.time.seconds', { n: Math.round(seconds) });
    if (seconds < 5400) return say('upscale.time.minutes', { n: Math.round(seconds / 60) });
    return say('upscale.time.hours', { n: decimal(seconds / 3600) });
  }

  /** How many times as much as for the picture at hand all that is ready takes. */
  function share() {
    const rows = Easel.upscaleFiles.ready();
    if (!rows.length) return 1;
    if (state.settings.by === 'size') return rows.length;
    const area = ({ width, height }) => width * height;
    return rows.reduce((sum, row) => sum + area(row.source), 0) / area(state.source);
  }

  /** [what, how much] of the four numbers. */
  function facts() {
    if (!told || told.problem) return [];
    const { tiles, seconds, memory, file } = told;
    const times = share();
    const pairs = [
      [say('upscale.cost.time'), seconds === null ? say('upscale.time.unknown') : duration(seconds * times)],
      [say('upscale.cost.tiles'), tiles > 1 ? decimal(tiles, 0) : say('upscale.cost.whole')],
      [say('upscale.cost.memory'), bytes(memory)],
      [say(times === 1 ? 'upscale.cost.file' : 'upscale.cost.files'), bytes(file * times)],
    ];
    return pairs;
  }

  return {
    changed,
    rest,
    facts,
    again() {
      lastAsked = '';
      rest();
    },
    get problem() {
      return told?.problem ?? null;
    },
  };
})();
