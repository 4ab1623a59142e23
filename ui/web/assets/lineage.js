// Where a mixed model comes from: a tree of what went in, and of what had gone into that.
Easel.lineage = tree => {
  const { make, say } = Easel;

  function person({ name, method, here, parents, sha256 }) {
    return make(
      'li',
      {},
      make('b', { dir: 'auto', title: sha256 ? `sha256 ${sha256}` : null }, name),
      method && make('small', {}, method),
      !here && make('small', { class: 'care' }, say('lineage.gone')),
      parents.length > 0 && make('ul', {}, parents.map(person)),
    );
  }
  return make(
    'section',
    { class: 'lineage', 'data-key': 'lineage', 'aria-label': say('lineage.title') },
    make('span', { class: 'sub' }, say('lineage.title')),
    make('ul', {}, person(tree)),
  );
};
