// Light or dark: the system's choice until the person makes one.
Easel.theme = (() => {
  const system = matchMedia('(prefers-color-scheme: light)');
  const present = () => Easel.memory.get('theme') ?? (system.matches ? 'light' : 'dark');

  function paint() {
    if (!document.body) return;
    document.body.classList.toggle('dark', present() === 'dark');
    document.documentElement.style.colorScheme = present();
  }

  function toggle() {
    Easel.memory.set('theme', present() === 'dark' ? 'light' : 'dark');
    paint();
  }

  // Gradio sets its own class once while it starts; ours is put back whenever the two differ.
  const keep = new MutationObserver(() => {
    if (document.body.classList.contains('dark') !== (present() === 'dark')) paint();
  });
  document.addEventListener('DOMContentLoaded', () => {
    paint();
    keep.observe(document.body, { attributes: true, attributeFilter: ['class'] });
  });
  system.addEventListener('change', paint);
  return { toggle, present };
})();
