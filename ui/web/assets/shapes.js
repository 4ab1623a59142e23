// Sizes as drawn shapes around the model's native size. props.value: { model, width, height };
// props.sizes: { model: [{ label, width, height }] }. The numbers themselves live in their own fields.
const { make, patch, say } = Easel;
const host = element.querySelector('.host');
const readout = make('span');
const row = make('div', { class: 'shapes', role: 'group', 'aria-label': say('field.size') });
host.append(make('div', {}, make('div', { class: 'sub' }, make('span', {}, say('field.size')), readout), row));
let drawn = null;

const sizes = () => props.sizes[props.value?.model] ?? Object.values(props.sizes)[0] ?? [];
const LONG_SIDE = 22;

function draw(shapes) {
  row.replaceChildren(
    ...shapes.map(({ label, width, height }) => {
      const scale = LONG_SIDE / Math.max(width, height);
      const button = make(
        'button',
        {
          class: 'shape',
          '--w': `${width * scale}px`,
          '--h': `${height * scale}px`,
          title: `${width} × ${height}`,
          onclick: () => {
            props.value = { ...props.value, width, height };
            trigger('input');
            show();
          },
        },
        make('i'),
        label,
      );
      button.size = { width, height };
      return button;
    }),
  );
  drawn = shapes;
}

function show() {
  if (drawn !== sizes()) draw(sizes());
  const { width, height } = props.value ?? {};
  patch.text(readout, `${width} × ${height}`);
  for (const button of row.children) {
    patch.attribute(button, 'aria-pressed', button.size.width === width && button.size.height === height);
  }
}

/** The same shape at another model's native size; a size of the person's own stays as it is. */
Easel.rescale = (model, width, height) => {
  const is = size => size.width === width && size.height === height;
  const place = Object.values(props.sizes)
    .map(list => list.findIndex(is))
    .find(k => k >= 0);
  const to = props.sizes[model]?.[place];
  return to ? [to.width, to.height] : [width, height];
};

Easel.hasModel = name => name in props.sizes;

watch(['value', 'sizes'], show);
show();
