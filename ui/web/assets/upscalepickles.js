// Networks are mostly handed on as pickles, which can run code when they are opened. Those in the models folders are
// offered to be written anew, in a process of its own, without what could run; what comes of it is chosen at once.
Easel.upscalePickles = () => {
  const { make, say, upscale } = Easel;
  const state = Easel.upscaleState;
  const MOST = 3; // shown at a time
  const node = make('div', { class: 'pickles', hidden: true });
  const converting = new Map(); // name -> what it will be called

  async function convert({ name, converted }) {
    converting.set(name, converted);
    show();
    try {
      await Easel.models.request({ kind: 'convert', model: name, name: converted });
    } catch (error) {
      giveUp(name, error);
    }
  }

  function giveUp(name, problem) {
    converting.delete(name);
    upscale.fail(problem);
    show();
  }

  Easel.live.news.model.on(view => {
    if (converting.has(view.model) && view.stage === 'error') giveUp(view.model, view.problem);
  });

  /** What was converted is taken, if it turned out to enlarge. */
  state.changed.on(() => {
    for (const [name, converted] of converting) {
      if (state.find(converted)) {
        converting.delete(name);
        state.change({ network: converted, redraw: converted });
      } else if (!state.pickles.some(one => one.name === name)) {
        giveUp(name, { problem: say('upscale.pickle.none', { name }), fix: say('upscale.pickle.none.fix') });
      }
    }
  });

  const row = pickle =>
    make(
      'div',
      { class: 'pickle', 'data-key': pickle.name },
      make('p', { class: 'quiet' }, make('b', { dir: 'auto' }, pickle.name), ` ${say('upscale.pickle')}`),
      make(
        'button',
        { class: 'btn', disabled: converting.has(pickle.name), onclick: () => convert(pickle) },
        say(converting.has(pickle.name) ? 'upscale.pickle.busy' : 'upscale.pickle.convert'),
      ),
    );

  function show() {
    const { pickles, settings } = state;
    node.hidden = !pickles.length || !['network', 'redraw'].includes(settings.way);
    Easel.renew(node, pickles.slice(0, MOST).map(row));
  }
  return { node, show };
};
