// The picture area of Generate: decides what stands on the stage, and keeps strip and details in step.
// props.value: the answer to the last press of Generate { job, seed, view, turn };
// props.ideas: for the empty stage; props.samples: the states at their addresses; props.ready: is there a model?
const { make, say } = Easel;
const host = element.querySelector('.host');
const area = make('div', { class: 'stage', tabindex: 0, role: 'region', 'aria-label': say('stage.label') });
const strip = Easel.strip({ onChoose: choose, onLive: follow });
host.append(area, strip.node);

let chosen = null; // id of the picture the person looks at; null: whatever is newest
let problem = null; // a view of stage "error"
let ending = null; // the last view of a job that has ended, until its pictures are listed
const seen = new Map(); // job -> its last view
let details = Easel.memory.get('details') ?? matchMedia('(min-width: 1100px)').matches;
let mounted = { name: '', update() {} };
let panel = null;

const acts = {
  ideas: props.ideas,
  onIdea: idea => {
    Easel.form.fill({ prompt: idea });
    document.querySelector('#field-prompt textarea')?.focus();
  },
  onStop: mode => {
    const job = Easel.live.present();
    return job ? Easel.live.stop(job.job, mode) : false;
  },
  onReuse: () => {
    const picture = present();
    if (picture?.known) Easel.form.fill(Easel.form.settingsOf(picture));
  },
  onDetails: () => {
    details = !details;
    Easel.memory.set('details', details);
    show();
  },
  onRepaint: () => {
    const picture = present();
    if (picture) Easel.repaint.send(picture);
  },
  onUpscale: () => {
    const picture = present();
    if (picture) Easel.upscale.send(picture);
  },
  onFix: fix => Easel.form.fill(fix.values, { run: true }),
};

const present = () => (chosen !== null && Easel.pictures.find(chosen)) || Easel.pictures.list[0] || null;

/** What stands on the stage: a state's name and what it shows. */
function scene() {
  const sample = props.samples[Easel.address.of('generate')];
  if (sample) return sampleScene(sample);
  if (problem) return { name: 'error', view: problem };
  const job = Easel.live.present() ?? ending;
  if (job && chosen === null) return working(job);
  const picture = present();
  if (picture) return { name: 'done', picture, details };
  const obstacle = props.ready
    ? Easel.live.device?.problem
    : { problem: say('disabled.no_model'), fix: say('disabled.no_model.fix') };
  if (obstacle) return { name: 'disabled', problem: obstacle };
  return { name: Easel.pictures.loaded ? 'empty' : '' };
}

function working(view) {
  const [latest] = Easel.pictures.list;
  const backdrop = latest && Easel.pictures.onScreen(latest);
  return { name: 'running', view, preview: Easel.live.preview(view.job), backdrop };
}

function sampleScene(sample) {
  if (sample.name === 'running') {
    const preview = sample.view.stage === 'running' ? sample.picture : undefined;
    return { ...sample, preview, backdrop: sample.picture };
  }
  return sample.name === 'done' ? { ...sample, details } : sample;
}

function show() {
  const now = scene();
  if (mounted.name !== now.name) mount(now.name);
  area.className = `stage is-${now.view?.stage ?? now.name}`;
  mounted.update(now);
  showDetails(now);
  const job = Easel.address.of('generate') ? null : Easel.live.present();
  strip.setLive(job, job && Easel.live.preview(job.job));
  strip.select(now.name === 'done' ? now.picture.id : null);
}

function mount(name) {
  mounted = { name, update() {} };
  const hadFocus = area.contains(document.activeElement);
  area.replaceChildren();
  panel = null;
  if (!name) return;
  const made = Easel.views[name](acts);
  mounted.update = made.update;
  area.append(...[made.node].flat());
  if (hadFocus) area.focus({ preventScroll: true });
}

function showDetails({ name, picture }) {
  const key = name === 'done' && details ? `${picture.id} ${Easel.pictures.list.length}` : '';
  if ((panel?.dataset.key ?? '') === key) return;
  panel?.remove();
  panel = null;
  if (!key) return;
  const list = Easel.pictures.list;
  panel = Easel.details.panel({
    picture,
    place: list.indexOf(picture) + 1 || 1,
    total: list.length || 1,
    onClose: acts.onDetails,
    onReuse: acts.onReuse,
  });
  panel.dataset.key = key;
  area.append(panel);
}

function choose(id) {
  chosen = id;
  problem = null;
  show();
}

function follow() {
  chosen = null;
  problem = null;
  show();
}

/** One picture on or back; past the newest stands the job at work. */
function step(by) {
  const at = present();
  if (!at || problem) return;
  if (chosen === null && Easel.live.present()) {
    if (by > 0) choose(at.id);
    return;
  }
  const next = Easel.pictures.beside(at.id, by);
  if (next) choose(next.id);
  else if (by < 0 && Easel.live.present()) follow();
  if (by > 0 && Easel.pictures.list.at(-8)?.id >= (next?.id ?? 0)) Easel.pictures.older();
}

/** Esc: the problem first, then the job. Whether there was something to end. */
function dismiss() {
  if (!problem) return acts.onStop('now');
  problem = null;
  show();
  return true;
}

/** On a phone the stage lies above the settings, which are where Generate was pressed. */
function comeIntoView() {
  const isStill = matchMedia('(prefers-reduced-motion: reduce)').matches;
  area.closest('.tabitem')?.scrollTo({ top: 0, behavior: isStill ? 'auto' : 'smooth' });
}

function onAnswer() {
  const answer = props.value;
  if (!answer) return;
  if (answer.field && !answer.view && problem?.problem?.field !== answer.field) return;
  problem = answer.view ?? null;
  Easel.form.blame(problem?.problem?.field ?? null);
  if (answer.job) {
    chosen = null;
    Easel.memory.set('job', answer.job);
    Easel.memory.set('seed', answer.seed);
  }
  if (answer.job || problem) comeIntoView();
  show();
}

async function onJob(view) {
  if (view.kind !== 'generate') {
    if (Easel.live.hasEnded(view)) Easel.pictures.refresh(); // else shown where it is painted
    return;
  }
  const before = seen.get(view.job);
  if (view.stage === 'error') {
    problem = view;
    Easel.form.blame(view.problem?.field ?? null);
    comeIntoView();
  }
  if (Easel.live.hasEnded(view)) {
    seen.delete(view.job);
    ending = before ?? null;
    await Easel.pictures.refresh();
    ending = null;
  } else {
    seen.set(view.job, view);
    if (view.images.length !== (before?.images.length ?? 0)) Easel.pictures.refresh();
  }
  show();
}

host.addEventListener('keydown', event => {
  const act = {
    Escape: event.target.closest('.details') && acts.onDetails,
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    i: acts.onDetails,
    s: () => area.querySelector('#save-copy')?.click(),
  }[event.key];
  if (!act || event.ctrlKey || event.altKey || event.metaKey || event.target.matches('input, textarea')) return;
  event.preventDefault();
  act();
});

Easel.escape = dismiss;
Easel.form.forgiven.on(name => {
  if (problem?.problem?.field !== name) return;
  problem = null;
  show();
});
Easel.live.news.job.on(onJob);
Easel.live.news.preview.on(show);
Easel.live.news.device.on(() => {
  if (mounted.name === 'disabled' || mounted.name === 'empty') show();
});
Easel.live.news.connection.on(now => {
  if (now) Easel.pictures.refresh();
});
Easel.pictures.changed.on(list => {
  strip.setPictures(list);
  show();
});
Easel.address.changed.on(show);
Easel.address.openTab();
watch('value', onAnswer);
watch('ready', show);
show();
Easel.pictures.refresh();
