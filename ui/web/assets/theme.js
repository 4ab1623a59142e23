// Light or dark: the system's choice until the person makes one.
Easel.theme = (() => {
  const system = matchMedia('(prefers-color-scheme: light)');
  const present = () => Easel.memory.get('theme') ?? (system.matches ? 'light' : 'dark');

  function paint() {
    document.body.classList.toggle('dark', present() === 'dark');
    document.documentElement.style.colorScheme = present();
  }

  function toggle() {
    Easel.memory.set('theme', present() === 'dark' ? 'light' : 'dark');
    paint();
  }

  // Gradio sets its own class while it starts; ours is put back whenever the two differ.
  const keeper = new MutationObserver(() => {
    if (document.body.classList.contains('dark') !== (present() === 'dark')) paint();
  });

  function begin() {
    paint();
    keeper.observe(document.body, { attributes: true, attributeFilter: ['class'] });
  }

  if (document.body) begin();
  else document.addEventListener('DOMContentLoaded', begin);
  system.addEventListener('change', paint);
  return { toggle, present };
})();
