// Many pictures with a mask each, painted over with the settings beside the canvas: one job a picture, in the queue.
Easel.canvasBatch = () => {
  const { make, patch, say, fields, canvas, repaint, ask } = Easel;
  const TYPES = /\.(png|jpe?g|webp)$/i;
  let pictures = [],
    masks = new Map(), // name without its ending -> file
    told = '',
    isBusy = false;

  const stem = file => file.name.replace(/\.[^.]+$/, '').toLowerCase();
  const folder = (label, take) => {
    const input = make('input', { type: 'file', multiple: '', hidden: true, 'aria-label': label });
    input.webkitdirectory = true;
    input.addEventListener('change', () => {
      take([...input.files].filter(file => TYPES.test(file.name)).sort((a, b) => a.name.localeCompare(b.name)));
      told = '';
      show();
    });
    return [make('button', { class: 'btn', onclick: () => input.click() }, label), input];
  };

  const line = make('p', { class: 'quiet', role: 'status' });
  const go = make('button', { class: 'btn', onclick: run });
  const inside = {
    node: make(
      'div',
      { class: 'batch' },
      make(
        'div',
        { class: 'acts' },
        folder(say('canvas.batch.pictures'), files => {
          pictures = files;
        }),
        folder(say('canvas.batch.masks'), files => {
          masks = new Map(files.map(file => [stem(file), file]));
        }),
      ),
      line,
      go,
    ),
    show,
  };

  const lacking = () => (canvas.isMasked() ? pictures.filter(file => !masks.has(stem(file))) : []);

  function show() {
    const without = lacking();
    const ready = pictures.length - without.length;
    const count = say('canvas.batch.count', { n: pictures.length, m: ready });
    const names = without.slice(0, 3).map(file => file.name).join(', ');
    const missing = without.length ? say('canvas.batch.lacking', { names, n: without.length }) : '';
    const found = pictures.length ? [count, missing].filter(Boolean).join('; ') : say('canvas.batch.hint');
    patch.text(line, told || found);
    patch.text(go, say('canvas.batch.run', { n: ready }));
    go.hidden = !ready;
    go.disabled = isBusy;
  }

  /** What cannot be used is named, and the rest goes on. */
  async function run() {
    isBusy = true;
    const failed = [];
    const wanted = pictures.filter(file => !lacking().includes(file));
    let done = 0;
    for (const file of wanted) {
      try {
        const source = await canvas.bring(file);
        const mask = canvas.isMasked() ? await canvas.bring(masks.get(stem(file))) : null;
        await ask('api/jobs', repaint.post(repaint.orderFor(source, mask)));
        done += 1;
      } catch (error) {
        failed.push(`${file.name}: ${error.problem ?? error.message}`);
      }
      told = [say('canvas.batch.queued', { done, n: wanted.length }), ...failed].join('; ');
      show();
    }
    isBusy = false;
    pictures = []; // they are asked for: the same ones again would be a slip
    show();
  }

  return fields.fold({
    id: 'canvas-batch',
    label: () => `${say('canvas.batch')} · ${pictures.length || say('canvas.none')}`,
    fields: [inside],
  });
};
