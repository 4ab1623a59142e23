// The finished pictures, newest first, as far back as the person has looked.
Easel.pictures = (() => {
  const PAGE = 40;
  const changed = Easel.signal();
  let list = [],
    complete = false,
    loaded = false,
    busy = null,
    asked = 0, // answers come in any order: the number of the last one asked for, and of the newest one taken
    taken = 0;

  /**
   * A picture of another program, or of a newer Easel, says nothing of its settings that we could use. Of one that was
   * painted over another, those of the painting.
   */
  const isKnown = request => Boolean(request && (request.kind !== 'upscale' || request.picture.prompt));
  const readable = picture => ({
    ...picture,
    known: isKnown(picture.request),
    kind: picture.request?.kind ?? '',
    asked: picture.request,
    request: { prompt: '', ...(picture.request?.picture ?? picture.request) },
  });

  /** Newest first, each once: answers may come in another order than they were asked for. */
  const joined = (...lists) =>
    [...new Map(lists.flat().map(picture => [picture.id, picture])).values()].sort((a, b) => b.id - a.id);

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
    const turn = ++asked;
    const fresh = await fetchPage('');
    if (!fresh) return;
    const known = new Set(fresh.map(picture => picture.id));
    const overlap = list.some(picture => known.has(picture.id));
    if (!overlap && turn < taken) return; // an older answer, from before the pictures that are here
    taken = Math.max(taken, turn);
    if (!overlap) complete = fresh.length < PAGE; // nothing known, or a gap: start over
    list = overlap ? joined(list, fresh) : joined(fresh);
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
        list = joined(list, page);
        changed.tell(list);
      })
      .finally(() => {
        busy = null;
      });
    return busy;
  }

  const HUGE = 16e6; // pixels that a browser is asked to open as they are
  const isHuge = ({ width, height }) => width * height > HUGE;

  /** Where a smaller version of a picture is, or of a part of it: query { width, box }. */
  const look = ({ url }, query) => {
    const [path, version = ''] = url.split('?');
    return `${path}/look?${[new URLSearchParams(query), version].filter(String).join('&')}`;
  };
  /** Where it is in a size that a screen shows. */
  const onScreen = picture => (isHuge(picture) ? look(picture, { width: 2048 }) : picture.url);

  const find = id => list.find(picture => picture.id === id);

  /** The picture `step` places further back (or, below 0, forward) from `id`. */
  const beside = (id, step) => list[list.findIndex(picture => picture.id === id) + step];

  return {
    changed,
    readable,
    refresh,
    older,
    find,
    isHuge,
    look,
    onScreen,
    beside,
    get list() {
      return list;
    },
    get loaded() {
      return loaded;
    },
  };
})();
