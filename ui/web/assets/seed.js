// Beside the seed: draw a new one every time (a toggle), or take the last one again. props.value: new every time?
const { make, icon, patch, say } = Easel;
const dice = make(
  'button',
  {
    class: 'btn sq',
    'aria-label': say('seed.fresh'),
    title: say('seed.fresh'),
    onclick: () => {
      props.value = !props.value;
      trigger('input');
      show();
    },
  },
  icon('dice'),
);
const again = make(
  'button',
  {
    class: 'btn sq',
    'aria-label': say('seed.again'),
    title: say('seed.again'),
    onclick: () => Easel.form.fill({ seed: Easel.memory.get('seed'), fresh_seed: false }),
  },
  icon('again'),
);
element.querySelector('.host').append(make('div', { class: 'seed-acts' }, dice, again));

function show() {
  patch.attribute(dice, 'aria-pressed', Boolean(props.value));
  again.disabled = Easel.memory.get('seed') === null;
}
watch('value', show);
Easel.form.changed.on(show);
show();
