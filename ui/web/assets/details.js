// The panel with everything a picture was made of.
Easel.details = (() => {
  const { make, icon, say } = Easel;

  /** Of a picture that was enlarged: by what; and how it was painted over, if it was. */
  function enlarged({ asked, index }) {
    const level = asked.noise_levels?.[index] ?? asked.noise_levels?.[0];
    return [
      ['field.upscaler', [asked.upscaler, asked.second].filter(Boolean).map(Easel.upscaleName).join(' + ')],
      ['upscale.strength', asked.strength || null],
      ['upscale.noise', level],
    ];
  }

  const isPainted = ({ kind, asked }) => kind !== 'upscale' || asked.strength > 0 || asked.noise_levels.length > 0;

  const facts = picture => {
    const asked = isPainted(picture) ? picture.request : {};
    return [
      ...(picture.kind === 'upscale' ? enlarged(picture) : []),
      ['field.negative_prompt', asked.negative_prompt],
      ['field.model', asked.model],
      ['field.vae', asked.vae],
      ['field.loras', (asked.loras ?? []).map(loraText).join(', ')],
      ['field.sampler', Easel.names.sampler[asked.sampler] ?? asked.sampler],
      ['field.schedule', Easel.names.schedule[asked.schedule] ?? asked.schedule],
      ['field.steps', asked.steps],
      ['field.cfg', asked.cfg],
      ['field.seed', isPainted(picture) ? picture.seed : null],
      ['field.size', `${picture.width} × ${picture.height}`],
      ['field.hires', asked.hires && hiresText(asked.hires)],
      ['field.clip_skip', asked.clip_skip],
      ['field.precision', Easel.names.precision[asked.precision] ?? asked.precision],
      ['field.batch_size', asked.batch_size],
      ['picture.time', picture.seconds ? say('picture.seconds', { n: picture.seconds.toFixed(1) }) : null],
      ['picture.file', picture.file.split('/').at(-1)],
    ].filter(([, value]) => value !== '' && value !== null && value !== undefined);
  };

  const hiresText = ({ factor, upscaler, strength }) => `${factor} × ${Easel.upscaleName(upscaler)}, ${strength}`;
  const loraText = ({ name, unet, text }) => `${name} ${unet}${text === unet ? '' : ` / ${text}`}`;

  function panel({ picture, place, total, onClose, onReuse }) {
    const copy = make(
      'button',
      { class: 'btn', disabled: !picture.infotext, onclick: () => copyText(picture.infotext, copy) },
      say('picture.copy'),
    );
    const refusal = make('p', { class: 'reason danger', role: 'alert', hidden: true });
    return make(
      'aside',
      { class: 'details', 'aria-label': say('picture.details'), 'data-esc': '' },
      make(
        'header',
        {},
        make('b', {}, say('picture.details')),
        make('span', {}, say('picture.place', { place, total })),
        make(
          'button',
          {
            class: 'btn sq close',
            'aria-label': say('picture.close'),
            title: say('picture.close'),
            onclick: onClose,
          },
          icon('close'),
        ),
      ),
      make(
        'div',
        { class: 'facts', tabindex: 0, role: 'group', 'aria-label': say('picture.details') },
        make('p', { dir: 'auto' }, picture.request.prompt),
        make(
          'dl',
          {},
          facts(picture).map(([key, value]) => [make('dt', {}, say(key)), make('dd', { dir: 'auto' }, String(value))]),
        ),
      ),
      make(
        'div',
        { class: 'acts' },
        copy,
        make('button', { class: 'btn', disabled: !picture.known, onclick: onReuse }, say('picture.reuse')),
        make(
          'button',
          { class: 'btn', disabled: !picture.known, onclick: () => toDesk(picture, refusal) },
          say('models.desk'),
        ),
      ),
      refusal,
    );
  }

  /** The recipe of the model that painted it, or why there is none. */
  async function toDesk(picture, refusal) {
    refusal.hidden = true;
    try {
      await Easel.mixing.openRecipe({ image: picture.id });
    } catch (error) {
      refusal.textContent = [error.problem ?? error.message, error.fix].filter(Boolean).join('; ');
      refusal.hidden = false;
    }
  }

  async function copyText(text, button) {
    // Only pages of this machine, or over https, may use the clipboard directly.
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyBySelection(text);
    button.textContent = say('picture.copied');
    setTimeout(() => {
      button.textContent = say('picture.copy');
    }, 1500);
  }

  function copyBySelection(text) {
    const area = make('textarea', { class: 'spoken', readonly: '' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }

  return { panel };
})();
