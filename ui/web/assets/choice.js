// One of several, as the browser's own list. props.value; props.choices: [[label, value]]; props.label;
// props.bare: the label is spoken, not shown. A value that is not offered stands in the list as it is: the request
// says what is wrong with it.
const { make, patch } = Easel;
const name = `${element.id || props.label}-input`;
const picker = make('select', { id: name, 'aria-label': props.bare ? props.label : null, onchange: choose });
element
  .querySelector('.host')
  .append(
    make(
      'div',
      { class: 'choice' },
      !props.bare && make('label', { for: name }, props.label),
      make('div', { class: 'select' }, picker),
    ),
  );

const isEmpty = value => value === null || value === undefined || value === '';

/** The choices, with the present value among them. */
function offered() {
  const { choices, value } = props;
  const isOffered = isEmpty(value) || choices.some(([, offer]) => offer === value);
  return isOffered ? choices : [...choices, [String(value), value]];
}

function choose() {
  props.value = offered()[picker.selectedIndex]?.[1] ?? null;
  trigger('input');
  show();
}

/** The options are changed where they stand: an open list stays open. */
function show() {
  const offers = offered();
  while (picker.length > offers.length) picker.remove(picker.length - 1);
  offers.forEach(([label, value], k) => {
    if (!picker.options[k]) picker.append(make('option', {}));
    picker.options[k].value = value;
    patch.text(picker.options[k], label);
  });
  picker.selectedIndex = offers.findIndex(([, value]) => value === props.value);
  picker.title = picker.selectedOptions[0]?.textContent ?? ''; // a long name is cut
}

watch(['value', 'choices'], show);
show();
