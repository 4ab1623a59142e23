// The finished pictures, newest first, as far back as the person has looked.
Easel.pictures = (() => {
  const PAGE = 40;
  const changed = Easel.signal();
  let list = [],
    complete = false,
    loaded = false,
    busy = null;

  /** A picture of another program, or of a newer Easel, says nothing of its settings that we could use. */
  const readable = picture => ({
    ...picture,
    known: Boolean(picture.request),
    request: picture.request ?? { prompt: '' },
  });

  /** A page of the list; nothing while the studio does not answer, which the foot of the column says. */
  async function fetchPage(query) {
    try {
      return (await Easel.ask(`api/images?limit=${PAGE}${query}`)).images.map(readable);
    } catch (error) {
      console.warn('Pictures could not be listed', error);
      return null;
    }
  }

  /** Brings in what is new. */
  async function refresh() {
    const fresh = await fetchPage('');
    if (!fresh) return;
    const known = new Set(fresh.map(picture => picture.id));
    const overlap = list.some(picture => known.has(picture.id));
    if (!overlap) complete = fresh.length < PAGE; // nothing known, or a gap: start over
    list = overlap ? [...fresh, ...list.filter(picture => !known.has(picture.id))] : fresh;
    loaded = true;
    changed.tell(list);
  }

  /** Brings in older ones, a page at a time. */
  function older() {
    if (complete || !list.length || busy) return busy;
    busy = fetchPage(`&before=${list.at(-1).id}`)
      .then(page => {
        if (!page) return;
        complete = page.length < PAGE;
        list = [...list, ...page.filter(picture => !find(picture.id))];
        changed.tell(list);
      })
      .finally(() => {
        busy = null;
      });
    return busy;
  }

  const find = id => list.find(picture => picture.id === id);

  /** The picture `step` places further back (or, below 0, forward) from `id`. */
  const beside = (id, step) => list[list.findIndex(picture => picture.id === id) + step];

  return {
    changed,
    refresh,
    older,
    find,
    beside,
    get list() {
      return list;
    },
    get loaded() {
      return loaded;
    },
  };
})();
